//! Recipes that have names.

use super::layer::Layer;
use crate::error::{Error, Result};

/// A recipe that ships with the program.
#[derive(Debug)]
pub struct NamedRecipe {
    /// Its name, as `--recipe NAME` and `base = "NAME"` take it.
    pub name: &'static str,
    /// What it trains.
    pub title: &'static str,
    /// Where its values come from.
    pub paper: &'static str,
    /// The fields that it sets, as TOML with comments; the others keep the defaults for the data.
    pub toml: &'static str,
}

impl NamedRecipe {
    /// What it sets.
    ///
    /// # Errors
    /// Never for a recipe of [`named_recipes`]; those of [`Layer::from_toml`].
    pub fn layer(&self) -> Result<Layer> {
        Layer::from_toml(self.toml, self.name)
    }
}

/// All recipes that have names.
#[must_use]
pub fn named_recipes() -> &'static [NamedRecipe] {
    &NAMED
}

/// The recipe called `name`.
///
/// # Errors
/// [`Error::NoRecipe`] with the names there are.
pub fn find_recipe(name: &str) -> Result<&'static NamedRecipe> {
    NAMED.iter().find(|recipe| recipe.name == name).ok_or_else(|| Error::NoRecipe {
        name: name.to_owned(),
        there: NAMED.iter().map(|recipe| recipe.name).collect::<Vec<_>>().join(", "),
    })
}

macro_rules! named {
    ($($name:literal, $title:literal, $paper:literal;)*) => {
        [$(NamedRecipe {
            name: $name,
            title: $title,
            paper: $paper,
            toml: include_str!(concat!("../../recipes/", $name, ".toml")),
        }),*]
    };
}

/// A line for each file of `recipes/`.
static NAMED: [NamedRecipe; 25] = named! {
    "mobilenet_v1", "MobileNet V1 on photographs", "Howard et al. 2017, arXiv:1704.04861";
    "xception", "Xception on photographs", "Chollet 2017, arXiv:1610.02357";
    "resdsc", "ResDSC-26 on the first domain", "Guo et al. 2019, arXiv:1902.00927";
    "resdsc_domain", "ResDSC-26 on a further domain, from the first", "Guo et al. 2019, arXiv:1902.00927";
    "scratch", "A further domain, nothing shared", "Guo et al. 2019, arXiv:1902.00927";
    "finetune", "A further domain, from the first's weights", "Guo et al. 2019, arXiv:1902.00927";
    "features", "A further domain's classifier on the first's features", "Guo et al. 2019, arXiv:1902.00927";
    "share-pointwise", "A further domain, pointwise weights shared", "Guo et al. 2019, arXiv:1902.00927";
    "share-depthwise", "A further domain, depthwise kernels shared", "Guo et al. 2019, arXiv:1902.00927";
    "soft", "A further domain, depthwise kernels mixed by gates", "Guo et al. 2019, arXiv:1902.00927";
    "resdsc_imagenet12", "ResDSC-26 on the Decathlon's ImageNet", "Guo et al. 2019, arXiv:1902.00927";
    "resdsc_aircraft", "ResDSC-26 on the Decathlon's FGVC-Aircraft", "Guo et al. 2019, arXiv:1902.00927";
    "resdsc_cifar100", "ResDSC-26 on the Decathlon's CIFAR-100", "Guo et al. 2019, arXiv:1902.00927";
    "resdsc_daimlerpedcls", "ResDSC-26 on the Decathlon's Daimler pedestrians", "Guo et al. 2019, arXiv:1902.00927";
    "resdsc_dtd", "ResDSC-26 on the Decathlon's Describable textures", "Guo et al. 2019, arXiv:1902.00927";
    "resdsc_gtsrb", "ResDSC-26 on the Decathlon's German traffic signs", "Guo et al. 2019, arXiv:1902.00927";
    "resdsc_omniglot", "ResDSC-26 on the Decathlon's Omniglot", "Guo et al. 2019, arXiv:1902.00927";
    "resdsc_svhn", "ResDSC-26 on the Decathlon's SVHN", "Guo et al. 2019, arXiv:1902.00927";
    "resdsc_ucf101", "ResDSC-26 on the Decathlon's UCF101 motion images", "Guo et al. 2019, arXiv:1902.00927";
    "resdsc_vgg-flowers", "ResDSC-26 on the Decathlon's VGG flowers", "Guo et al. 2019, arXiv:1902.00927";
    "pydmobilenet", "PydMobileNet on small pictures", "Hoang & Jo 2018, arXiv:1811.07083";
    "espnet_c", "ESPNet-C on street scenes", "Mehta et al. 2018, arXiv:1803.06815";
    "espnet", "ESPNet on street scenes, from ESPNet-C", "Mehta et al. 2018, arXiv:1803.06815";
    "bsconv_u", "MobileNet V1 of BSConv-U on small pictures", "Haase & Amthor 2020, arXiv:2003.13549";
    "bsconv_s", "ResNet-20 of BSConv-S on small pictures", "Haase & Amthor 2020, arXiv:2003.13549";
};
