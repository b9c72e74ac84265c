"""Models and predictors to run and to beat."""
