"""Recipes: meta-training runs with a name, `hebbax train NAME` on the command line."""

from hebbax.recipes._blur_conv import BlurConv as BlurConv
from hebbax.recipes._blur_images import LASTING_RULE as LASTING_RULE
from hebbax.recipes._blur_images import MNIST_CLASSES as MNIST_CLASSES
from hebbax.recipes._blur_images import MNIST_CROP as MNIST_CROP
from hebbax.recipes._blur_images import MNIST_RULE as MNIST_RULE
from hebbax.recipes._blur_images import MNIST_SIZE as MNIST_SIZE
from hebbax.recipes._blur_images import BlurLasting as BlurLasting
from hebbax.recipes._blur_images import BlurMnist as BlurMnist
from hebbax.recipes._blur_images import BlurMnist50 as BlurMnist50
from hebbax.recipes._blur_images import BlurPaper as BlurPaper
from hebbax.recipes._blur_toy import QUICKSTART_RULE as QUICKSTART_RULE
from hebbax.recipes._blur_toy import BlurToy as BlurToy
from hebbax.recipes._recipe import FINAL_RATE as FINAL_RATE
from hebbax.recipes._recipe import GradientRecipe as GradientRecipe
from hebbax.recipes._recipe import Recipe as Recipe
from hebbax.recipes._streams import STREAM_RULE as STREAM_RULE
from hebbax.recipes._streams import BlurStream as BlurStream
from hebbax.recipes._unsupervised import LOOK as LOOK
from hebbax.recipes._unsupervised import SIZE as SIZE
from hebbax.recipes._unsupervised import UnsupervisedHebbian as UnsupervisedHebbian
from hebbax.recipes._unsupervised import UnsupervisedMeta as UnsupervisedMeta
from hebbax.recipes._unsupervised import UnsupervisedSmall as UnsupervisedSmall
from hebbax.recipes._vsml import VsmlBackprop as VsmlBackprop
from hebbax.recipes._vsml import VsmlGeneral as VsmlGeneral
from hebbax.recipes._vsml import VsmlOnline as VsmlOnline
from hebbax.recipes._vsml import VsmlProjected as VsmlProjected

RECIPES: dict[str, type[Recipe]] = {
    recipe.name: recipe
    for recipe in (
        BlurToy,
        BlurMnist,
        BlurMnist50,
        BlurLasting,
        BlurPaper,
        BlurConv,
        BlurStream,
        VsmlBackprop,
        VsmlOnline,
        VsmlProjected,
        VsmlGeneral,
        UnsupervisedHebbian,
        UnsupervisedMeta,
        UnsupervisedSmall,
    )
}
"""All recipes by name. One whose options have defaults of their own is a class of its own."""
