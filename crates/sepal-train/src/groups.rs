//! Which parameters are trained and which decay, as ranges of the flat buffers.

use std::ops::Range;

use globset::{GlobBuilder, GlobMatcher};
use sepal_graph::Role;

use crate::error::{Error, Result};
use crate::params::Slot;
use crate::recipe::Recipe;

/// A range of the flat buffers that is updated in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// Floats of the parameters, with the zeros between them.
    pub(crate) range: Range<usize>,
    /// Whether weight decay applies.
    pub(crate) decay: bool,
}

/// The parameters that a recipe trains, grouped, in the order of the slots.
///
/// # Errors
/// [`Error::Glob`] for a `freeze` that is no glob, matches no parameter, or leaves none to train.
pub(crate) fn groups(slots: &[Slot], recipe: &Recipe) -> Result<Vec<Group>> {
    let globs = Globs::new("freeze", &recipe.freeze)?;
    globs.check_used(slots)?;
    let mut groups: Vec<Group> = Vec::new();
    // A frozen parameter between two others keeps them apart.
    let mut apart = true;
    for slot in slots {
        if globs.matches(&slot.path) {
            apart = true;
            continue;
        }
        let (decay, range) = (decays(slot.role, recipe), slot.padded());
        match groups.last_mut() {
            Some(last) if !apart && last.decay == decay && last.range.end == range.start => last.range.end = range.end,
            _ => groups.push(Group { range, decay }),
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
    pub(crate) fn check_used(&self, slots: &[Slot]) -> Result<()> {
        for glob in &self.list {
            if !slots.iter().any(|slot| glob.is_match(&slot.path)) {
                let first = slots.first().map_or("", |slot| slot.path.as_str());
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
    use super::*;

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
            Slot { path: path.into(), role, shape: vec![len], range }
        })
        .into()
    }

    fn spans(recipe: &Recipe) -> Vec<(Range<usize>, bool)> {
        groups(&slots(), recipe).unwrap().into_iter().map(|g| (g.range, g.decay)).collect()
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
            let text = groups(&slots(), &freeze(globs)).unwrap_err().to_string();
            assert!(text.contains(problem) && text.contains("freeze"), "{text}");
        }
    }
}
