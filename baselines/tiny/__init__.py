"""A miniature latent-diffusion model that can see, in the folder layout of diffusers, and the script that made it.

`WEIGHTS / "edit"` is the default: an InstructPix2Pix of 64 px photographs of the built-in world. `WEIGHTS / "generate"`
is the text-to-image stage it came from, and shares edit's autoencoder. See the model card in `WEIGHTS`.
"""

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"
STAGES = ("generate", "edit")
