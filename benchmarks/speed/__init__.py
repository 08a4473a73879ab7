"""Time and memory of training and prediction."""
