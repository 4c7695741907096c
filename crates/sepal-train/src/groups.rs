//! Which parameters are trained, how fast, and which decay, as ranges of the flat buffers.

use std::ops::Range;

use globset::{GlobBuilder, GlobMatcher};
use sepal_graph::Role;

use crate::error::{Error, Result};
use crate::params::Slot;
use crate::recipe::Recipe;

/// The field of the globs of a recipe's groups.
pub(crate) const PATHS: &str = "groups.paths";

/// A range of the flat buffers that is updated in one go.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    /// Floats of the parameters, with the zeros between them.
    pub(crate) range: Range<usize>,
    /// Factor of the learning rate.
    pub(crate) lr_factor: f64,
    /// Weight decay.
    pub(crate) weight_decay: f64,
}

impl Group {
    /// Whether another range of floats is updated in the same way.
    fn agrees(&self, lr_factor: f64, weight_decay: f64) -> bool {
        self.lr_factor == lr_factor && self.weight_decay == weight_decay
    }
}

/// The parameters that a recipe trains, which are those that are not frozen, grouped, in the order of the slots.
///
/// # Errors
/// [`Error::Glob`] for a `freeze` that leaves none to train, and for paths of `groups` that are no globs or match
/// nothing.
pub(crate) fn groups(slots: &[Slot], recipe: &Recipe) -> Result<Vec<Group>> {
    let special = recipe.groups.iter().map(|group| Ok((Globs::new(PATHS, &group.paths)?, group)));
    let special = special.collect::<Result<Vec<_>>>()?;
    special.iter().try_for_each(|(globs, _)| globs.check_used(slots))?;
    let mut groups: Vec<Group> = Vec::new();
    // A frozen parameter between two others keeps them apart.
    let mut apart = true;
    for slot in slots {
        if slot.frozen {
            apart = true;
            continue;
        }
        let own = special.iter().find(|(globs, _)| globs.matches(&slot.path)).map(|(_, group)| *group);
        let lr_factor = own.map_or(1.0, |group| group.lr_factor);
        let by_role = if decays(slot.role, recipe) { recipe.weight_decay() } else { 0.0 };
        let weight_decay = own.and_then(|group| group.weight_decay).unwrap_or(by_role);
        let range = slot.padded();
        match groups.last_mut() {
            Some(last) if !apart && last.agrees(lr_factor, weight_decay) && last.range.end == range.start => {
                last.range.end = range.end;
            }
            _ => groups.push(Group { range, lr_factor, weight_decay }),
        }
        apart = false;
    }
    match groups.is_empty() {
        true => Err(Error::Glob {
            field: "freeze",
            glob: recipe.freeze.join("', '"),
            problem: "leaves no parameter to train".into(),
        }),
        false => Ok(groups),
    }
}

/// Whether weight decay applies to a parameter of this role.
fn decays(role: Role, recipe: &Recipe) -> bool {
    match role {
        Role::ConvWeight | Role::PointwiseWeight | Role::LinearWeight => true,
        Role::DepthwiseWeight => recipe.decay_depthwise,
        Role::Bias => recipe.decay_biases,
        Role::NormScale | Role::NormShift | Role::Slope | Role::Value => recipe.decay_norms,
        Role::NormMean | Role::NormVar | Role::Constant => false,
    }
}

/// Globs on parameter paths; `*` also matches dots.
pub(crate) struct Globs {
    field: &'static str,
    list: Vec<GlobMatcher>,
}

impl Globs {
    /// # Errors
    /// [`Error::Glob`] for what is no glob.
    pub(crate) fn new(field: &'static str, globs: &[String]) -> Result<Self> {
        let compile = |text: &String| {
            let glob = GlobBuilder::new(text).build().map_err(|error| Error::Glob {
                field,
                glob: text.clone(),
                problem: format!("is not a glob: {}", error.kind()),
            })?;
            Ok(glob.compile_matcher())
        };
        Ok(Self { field, list: globs.iter().map(compile).collect::<Result<_>>()? })
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        self.list.iter().any(|glob| glob.is_match(path))
    }

    /// A glob that selects nothing is a slip of the pen.
    pub(crate) fn check_used<'a>(&self, slots: impl IntoIterator<Item = &'a Slot> + Clone) -> Result<()> {
        for glob in &self.list {
            if !slots.clone().into_iter().any(|slot| glob.is_match(&slot.path)) {
                let first = slots.clone().into_iter().next().map_or("", |slot| slot.path.as_str());
                return Err(Error::Glob {
                    field: self.field,
                    glob: glob.glob().glob().to_owned(),
                    problem: format!("matches no parameter; paths are like {first}"),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sepal_graph::NodeId;

    use super::*;
    use crate::recipe::ParamGroup;

    fn slots() -> Vec<Slot> {
        let rows = [
            ("stem.conv.weight", Role::ConvWeight, 27),
            ("stem.bn.weight", Role::NormScale, 16),
            ("stem.bn.bias", Role::NormShift, 16),
            ("block1.depthwise.weight", Role::DepthwiseWeight, 9),
            ("block1.pointwise.weight", Role::PointwiseWeight, 16),
            ("block1.pointwise.bias", Role::Bias, 3),
            ("fc.weight", Role::LinearWeight, 20),
            ("fc.bias", Role::Bias, 2),
        ];
        let mut at = 0;
        rows.map(|(path, role, len): (&str, Role, usize)| {
            let range = at..at + len;
            at = range.end.next_multiple_of(16);
            Slot { path: path.into(), node: NodeId::new(0), role, shape: vec![len], range, frozen: false }
        })
        .into()
    }

    /// The slots, frozen as the recipe says.
    fn frozen(recipe: &Recipe) -> Result<Vec<Slot>> {
        let (globs, mut slots) = (Globs::new("freeze", &recipe.freeze)?, slots());
        globs.check_used(&slots)?;
        slots.iter_mut().for_each(|slot| slot.frozen = globs.matches(&slot.path));
        Ok(slots)
    }

    fn spans(recipe: &Recipe) -> Vec<(Range<usize>, bool)> {
        groups(&frozen(recipe).unwrap(), recipe).unwrap().into_iter().map(|g| (g.range, g.weight_decay > 0.0)).collect()
    }

    #[test]
    fn by_default_norms_biases_and_depthwise_kernels_do_not_decay() {
        let expected =
            [(0..32, true), (32..80, false), (80..96, true), (96..112, false), (112..144, true), (144..160, false)];
        assert_eq!(spans(&Recipe::default()), expected);
    }

    #[test]
    fn each_flag_adds_its_role() {
        let recipe = Recipe { decay_norms: true, decay_biases: true, decay_depthwise: true, ..Recipe::default() };
        assert_eq!(spans(&recipe), [(0..160, true)]);
        let recipe = Recipe { decay_depthwise: true, ..Recipe::default() };
        assert_eq!(spans(&recipe)[2], (64..96, true));
    }

    #[test]
    fn frozen_parameters_are_in_no_group() {
        let freeze = |globs: &[&str]| Recipe {
            freeze: globs.iter().map(|g| g.to_string()).collect(),
            decay_norms: true,
            decay_biases: true,
            decay_depthwise: true,
            ..Recipe::default()
        };
        assert_eq!(spans(&freeze(&["*.pointwise.*"])), [(0..80, true), (112..160, true)]);
        assert_eq!(spans(&freeze(&["stem*", "fc.*"])), [(64..112, true)]);
        for (globs, problem) in [
            (&["*"][..], "leaves no parameter"),
            (&["pointwise"], "matches no parameter; paths are like stem.conv.weight"),
            (&["a[", "*"], "is not a glob"),
        ] {
            let recipe = freeze(globs);
            let text = frozen(&recipe).and_then(|slots| groups(&slots, &recipe)).unwrap_err().to_string();
            assert!(text.contains(problem) && text.contains("freeze"), "{text}");
        }
    }

    #[test]
    fn groups_have_rates_and_decays_of_their_own_and_the_first_counts() {
        let group = |paths: &[&str], lr_factor, weight_decay| ParamGroup {
            paths: paths.iter().map(|path| path.to_string()).collect(),
            lr_factor,
            weight_decay,
        };
        let recipe =
            |list: &[ParamGroup]| Recipe { groups: list.to_vec(), weight_decay: Some(0.5), ..Recipe::default() };
        let list = [group(&["stem.*"], 0.1, None), group(&["fc.bias", "*bn*"], 2.0, Some(0.25))];
        let got = groups(&slots(), &recipe(&list)).unwrap();
        let got: Vec<_> = got.into_iter().map(|g| (g.range, g.lr_factor, g.weight_decay)).collect();
        let expected = [
            (0..32, 0.1, 0.5),
            (32..64, 0.1, 0.0),
            (64..80, 1.0, 0.0),
            (80..96, 1.0, 0.5),
            (96..112, 1.0, 0.0),
            (112..144, 1.0, 0.5),
            (144..160, 2.0, 0.25),
        ];
        assert_eq!(got, expected);
        for (paths, problem) in [("a[", "is not a glob"), ("bn", "matches no parameter")] {
            let text = groups(&slots(), &recipe(&[group(&[paths], 1.0, None)])).unwrap_err().to_string();
            assert!(text.contains(problem) && text.contains("groups.paths"), "{text}");
        }
    }
}
