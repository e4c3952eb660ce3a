//! How work is cut before it begins.

mod part;

pub use part::{PartPlan, PartPlanError};
