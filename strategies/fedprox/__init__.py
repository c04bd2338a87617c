"""FedProx: federated averaging with a proximal term (Li et al., 2020)."""
