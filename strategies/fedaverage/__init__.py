"""FedAverage: federated averaging (McMahan et al., 2017) of any dense model."""
