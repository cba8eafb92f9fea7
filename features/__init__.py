"""From prompt to context vector: numpy when serving, scikit-learn when fitting, no network."""
