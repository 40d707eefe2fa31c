//! `cargo run -p openapi`: writes the description of the API to where `admin` serves it from.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/admin/openapi.json");
    std::fs::write(file, format!("{:#}\n", openapi::document()))
}
