//! How work is cut before it begins.

mod estimate;
mod part;

pub use estimate::Estimate;
pub use part::{PartPlan, PartPlanError};
