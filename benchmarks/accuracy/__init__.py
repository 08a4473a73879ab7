"""Accuracy with few labels, calibration, model selection and imputation."""
