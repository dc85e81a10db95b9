"""LEARNING: what people have told: corrections, and the evidence that they make."""
