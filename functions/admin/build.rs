//! Writes the description of the API without its white space, which is what the binary carries: the file in the
//! repository is laid out for people who read its changes.

use std::path::Path;
use std::{env, error, fs};

fn main() -> Result<(), Box<dyn error::Error>> {
    println!("cargo::rerun-if-changed=openapi.json");
    let document: serde_json::Value = serde_json::from_str(&fs::read_to_string("openapi.json")?)?;
    let folder = env::var("OUT_DIR")?;
    fs::write(Path::new(&folder).join("openapi.json"), document.to_string())?;
    Ok(())
}
