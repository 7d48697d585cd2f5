"""The protocols: requests in the formats of instances, MLflow and Open Inference Protocol V2."""
