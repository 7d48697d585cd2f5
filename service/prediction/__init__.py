"""The use case: requests for predictions, answered together by the predictors of loaded versions."""
