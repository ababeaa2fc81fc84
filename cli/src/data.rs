//! `data`.

use std::process::ExitCode;

use tributary_runtime::Home;

use crate::exit::Failure;
use crate::{args, download, upload};

pub(crate) fn run(home: &Home, command: &args::Data) -> Result<ExitCode, Failure> {
    match command {
        args::Data::Upload(upload) => upload::run(home, upload),
        args::Data::Download(download) => download::run(home, download),
    }
}
