"""MVP 2: a heart model trained on wearables, under grants that a chain can prove."""
