"""
Sort documents with a few labels
================================

Support messages are to be sent to one of four teams. Forty of 1,200 have been sorted by
hand. The pipeline counts words and fits the model to the sparse counts. Messages of
which it is not certain go to a person.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sk_ssvae import SSVAEClassifier
from sk_ssvae.model_selection import mask_labels

# %%
# The messages are made up: words of one topic, words of neighbouring topics, and words
# that every message has.
TOPICS = {
    "billing": "invoice refund charge payment card receipt bank amount tax price",
    "delivery": "parcel courier address late tracking box damaged driver door depot",
    "account": "password login email reset locked profile username code phone verify",
    "returns": "exchange size label refund broken warranty box receipt seller faulty",
}
COMMON = "hello please the my is not can you help order thanks today since still why"
rng = np.random.default_rng(0)


def write_message(topic):
    """Return a message of five to twenty words, a third of them about its topic."""
    every = " ".join(TOPICS.values()).split()
    sources = [TOPICS[topic].split(), every, COMMON.split()]
    which = rng.choice(3, size=rng.integers(5, 21), p=[0.3, 0.2, 0.5])
    return " ".join(rng.choice(sources[k]) for k in which)


y = rng.choice(list(TOPICS), size=2000)
messages = [write_message(topic) for topic in y]
train, test, y_train, y_test = train_test_split(
    messages, y, train_size=1200, stratify=y, random_state=0
)
few = mask_labels(y_train, n_per_class=10, random_state=0)  # dtype object, with -1
print(y_train[0], "--", train[0])

# %%
# Sparse counts are modelled as overdispersed counts (negative binomial).
clf = make_pipeline(CountVectorizer(), SSVAEClassifier(max_epochs=10, random_state=0))
clf.fit(train, few)
print("likelihood:", clf[-1].likelihood_)
print(f"accuracy on {len(test)} other messages: {clf.score(test, y_test):.3f}")

# %%
# Triage: messages whose most probable team has a probability below a threshold are read
# by a person.
proba = clf.predict_proba(test)
confidence = proba.max(axis=1)
right = clf.classes_[proba.argmax(axis=1)] == y_test
order = np.argsort(-confidence)
share = np.arange(1, len(test) + 1) / len(test)
accuracy = np.cumsum(right[order]) / np.arange(1, len(test) + 1)
for part in (0.5, 0.8, 1.0):
    k = int(part * len(test)) - 1
    print(f"the {100 * part:.0f} % most certain: accuracy {accuracy[k]:.3f}")

# %%
# The accuracy of the messages that are sorted automatically, and the words whose
# expected count differs most between a team and the mean of all, from the decoder.
words = clf[0].get_feature_names_out()
means = clf[-1].inverse_transform(np.zeros((4, clf[-1].latent_size)), y=clf.classes_)
means = means.toarray() if hasattr(means, "toarray") else np.asarray(means)
typical = means - means.mean(axis=0)
shown = np.concatenate([np.argsort(-row)[:6] for row in typical])

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
left.plot(share, accuracy)
left.set(xlabel="share of messages that are sorted automatically", ylabel="accuracy")
limit = np.abs(typical).max()
right.imshow(typical[:, shown].T, cmap="RdBu_r", aspect="auto", vmin=-limit, vmax=limit)
right.set_xticks(range(4), clf.classes_)
right.set_yticks(range(len(shown)), words[shown], fontsize=7)
right.set_title("Expected count minus the mean of all teams", fontsize=10)
plt.show()

# %%
# For long texts compare with a linear model of tf-idf first (:doc:`/comparison`).
# Sparse rows and counts are described in :doc:`/columns`.
