"""Results do not depend on the number of threads of numpy's and scipy's BLAS."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import hashlib
import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.semi_supervised import LabelSpreading
from threadpoolctl import threadpool_info
from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier, VariationalAutoencoder

n, d = 600, 400  # from about 200 columns on, the BLAS divides sums among threads
rng = np.random.default_rng(0)
y = rng.integers(10, size=n)
X = 0.2 * rng.normal(size=(10, d))[y] + rng.normal(size=(n, d))
few = np.where(np.arange(n) < 200, y, -1)
quick = {"hidden_sizes": (4,), "latent_size": 2, "max_epochs": 1, "random_state": 0}
pool = OpinionPoolClassifier(
    views=["logistic", "pca-4", "linear-generative", "discriminant"], random_state=0
)
user_teacher = make_pipeline(PCA(16, random_state=0), LabelSpreading("knn"))


def show(name, *arrays):
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    print(name, digest.hexdigest())


show("PCA", PCA(16, random_state=0).fit_transform(X))
pool.fit(X, few)
show("pool", pool.label_distributions_, pool.predict_proba(X))
for name, teacher in (("pool as teacher", pool), ("pipeline", user_teacher)):
    clf = SSVAEClassifier(teacher=teacher, **quick).fit(X, few)
    show(name, clf.predict_proba(X), clf.transform(X), clf.score_samples(X[:9]))
X[rng.random(X.shape) < 0.1] = np.nan
vae = VariationalAutoencoder(**quick).fit(X)
show("gaps", vae.transform(X), vae.score_samples(X[:99]))
# The setting of the user is restored.
threads = {
    library["num_threads"]
    for library in threadpool_info()
    if library["user_api"] in ("blas", "openmp")
}
print("threads", threads)
"""


def run(n_threads):
    """Return the digest of each result, in a process with that number of threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | dict.fromkeys(names, str(n_threads)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores")
def test_fits_are_the_same_with_one_and_two_threads():
    one, two = run(1), run(2)
    assert (one.pop("threads"), two.pop("threads")) == ("{1}", "{2}")
    # What depends on the number of threads: scikit-learn's own result. If it becomes
    # the same, the other results no longer test anything.
    assert one.pop("PCA") != two.pop("PCA")
    assert one == two
