"""The maker's side: a Flower SuperLink that runs what the chain says, round by round."""
