"""What the adapters of Optuna and NNI share; knows neither of them."""
