//! Running the domains of a bundle.

use std::sync::Arc;

use sepal_formats::FormatError;
use sepal_formats::bundle::{Bundle, Domain};
use sepal_graph::Protocol;
use sepal_runtime::{CompileOptions, Plan, RuntimeError, SharedWeights, compile_owned, compile_shared};

/// The plans of all domains of a bundle, in its order, which hold in memory once what the domains have in common.
///
/// Domains that share the same tensors share their packed form: those of `share-pointwise` and `soft` the pointwise weights, those
/// of `features` all but the classifier, those of `share-depthwise` the kernels. The trunk is one of the first of these there
/// are. Private norms are applied to the results of shared convolutions instead of being folded into their weights, so that going from
/// domain to domain packs nothing: [`Session::switch`](crate::Session::switch) does it in the memory that the session has.
///
/// ```no_run
/// use sepal::{Bundle, CompileOptions, DomainPlans};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let plans = DomainPlans::compile(&Bundle::read("all.safetensors")?, &CompileOptions::default())?;
/// let mut session = plans.get("flowers").ok_or("no flowers")?.session();
/// // … session.run(&image, &mut logits)?; then another domain:
/// session.switch(plans.get("digits").ok_or("no digits")?.clone());
/// # Ok(())
/// # }
/// ```
pub struct DomainPlans {
    plans: Vec<(String, Arc<Plan>)>,
    shared: Vec<SharedWeights>,
}

/// Why the domains of a bundle have no plans.
#[derive(Debug, thiserror::Error)]
pub enum DomainsError {
    /// The bundle does not hold what it says.
    #[error(transparent)]
    Bundle(#[from] FormatError),
    /// A domain's network cannot be compiled.
    #[error("domain `{domain}`: {source}")]
    Compile {
        /// The domain.
        domain: String,
        /// What is wrong with it.
        source: RuntimeError,
    },
}

impl DomainPlans {
    /// Compiles every domain.
    ///
    /// # Errors
    /// [`DomainsError::Compile`] for the first network that the runtime refuses.
    pub fn compile(bundle: &Bundle, options: &CompileOptions) -> Result<Self, DomainsError> {
        let trunk = bundle.domains().iter().filter_map(group).min();
        let of = |at: usize, domain: &Domain| if at == 0 { trunk } else { group(domain) };
        let members = |wanted: usize| {
            let domains = bundle.domains().iter().enumerate();
            domains.filter(move |(at, domain)| of(*at, domain) == Some(wanted)).map(|(_, domain)| domain.name.as_str())
        };
        let common = |wanted: usize| bundle.common(&members(wanted).collect::<Vec<_>>()).map(SharedWeights::new);
        let shared = (0..GROUPS).map(common).collect::<Result<Vec<_>, _>>()?;
        let mut plans = Vec::with_capacity(bundle.domains().len());
        for (at, domain) in bundle.domains().iter().enumerate() {
            let model = bundle.model(&domain.name)?;
            let plan = match of(at, domain) {
                Some(group) => compile_shared(model, options, &shared[group]),
                None => compile_owned(model, options),
            };
            let plan = plan.map_err(|source| DomainsError::Compile { domain: domain.name.clone(), source })?;
            plans.push((domain.name.clone(), Arc::new(plan)));
        }
        Ok(Self { plans, shared })
    }

    /// The plan of the domain of this name, if there is one.
    #[must_use]
    pub fn get(&self, domain: &str) -> Option<&Arc<Plan>> {
        self.iter().find(|(name, _)| *name == domain).map(|(_, plan)| plan)
    }

    /// Names and plans, in the bundle's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<Plan>)> {
        self.plans.iter().map(|(name, plan)| (name.as_str(), plan))
    }

    /// Bytes of packed weights that domains have in common, in memory once.
    #[must_use]
    pub fn shared_bytes(&self) -> usize {
        self.shared.iter().map(SharedWeights::bytes).sum()
    }
}

/// How many sets of protocols there are whose domains have the same tensors in common.
const GROUPS: usize = 3;

/// Which of these sets a domain's protocol is in.
fn group(domain: &Domain) -> Option<usize> {
    match domain.protocol {
        Protocol::Scratch | Protocol::Finetune => None,
        Protocol::SharePointwise | Protocol::Soft => Some(0),
        Protocol::Features => Some(1),
        Protocol::ShareDepthwise => Some(2),
    }
}
