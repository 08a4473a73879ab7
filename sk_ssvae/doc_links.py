"""Where the pictures of estimators in notebooks link to."""

from typing import ClassVar

__all__ = ["SITE", "DocLinkMixin"]

SITE = "https://sk-ssvae.readthedocs.io/en/latest"
"""Where the documentation is published with a release."""


class DocLinkMixin:
    """Link estimators' HTML representations to their pages of the reference.

    See `sklearn.utils._repr_html.base._HTMLDocumentationLinkMixin`. Subclasses in other
    packages have no such link.
    """

    _doc_link_module: ClassVar[str] = "sk_ssvae"
    _doc_link_template: ClassVar[str] = (
        f"{SITE}/api/generated/sk_ssvae.{{estimator_name}}.html"
    )
