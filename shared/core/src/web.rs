//! What is told of a page view: from its address, the page before, the browser and the visitor.

mod address;
pub mod agent;
pub mod country;
pub mod page_view;
pub mod visitor;

pub use address::path_of;
