"""How often a step of matching goes through the network, in passes forward and back: the floor of `bench speed`.

A pass has two products a layer, one forward and one back to the inputs. Gradients by the weights have one more. Their
derivative along a direction (forward over reverse) has two in each way, one with the weights and one with their
direction; where it is taken by the weights as well, two more, which is one pass.
"""

FORWARD = 0.5
GRADIENT = 1.5
BY_IMAGES = 2.0
BY_WEIGHTS = 1.0
