"""FedAdam: Adam at the server (Reddi et al., 2021)."""
