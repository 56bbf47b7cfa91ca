"""The suite `inference`: data, splits, this project's model and its peers on them, scores, plots."""
