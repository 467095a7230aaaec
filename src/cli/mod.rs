//! The command line: one table of options, checked into [`Options`].
//!
//! Pure: looks at nothing but the arguments. Every mistake is a usage error
//! (64) that names the option.

use crate::error::{Error, Exit, Result};

mod options;
mod table;

pub use options::Options;

use options::options;
use table::{OPTIONS, Spec, usage};

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// stdin to a stream.
    Upload,
    /// A stream to stdout.
    Download,
    /// Names of all streams.
    List,
    /// A summary of one.
    Info,
    /// Read a stream back and check it.
    Verify,
    /// Remove a stream.
    Delete,
    /// Remove what broken-off uploads have left.
    Clean,
    /// Make a bucket.
    CreateBucket,
    /// Remove an empty bucket.
    DeleteBucket,
}

use Command::{Clean, CreateBucket, Delete, DeleteBucket, Download, Info, List, Upload, Verify};

const COMMANDS: [(&str, Command); 9] = [
    ("upload", Upload),
    ("download", Download),
    ("list", List),
    ("info", Info),
    ("verify", Verify),
    ("delete", Delete),
    ("clean", Clean),
    ("createbucket", CreateBucket),
    ("deletebucket", DeleteBucket),
];

impl Command {
    /// The word on the command line.
    pub fn word(self) -> &'static str {
        COMMANDS
            .iter()
            .find(|(_, c)| *c == self)
            .map_or("", |(word, _)| word)
    }

    /// From that word.
    pub fn parse(word: &str) -> Option<Command> {
        let found = COMMANDS.iter().find(|(w, _)| *w == word);
        found.map(|(_, command)| *command)
    }
}

/// What the command line asks for.
#[derive(Clone, Debug)]
pub enum Parsed {
    /// Show this text and leave.
    Show(String),
    /// Do this.
    Run(Box<Options>),
}

/// Options with a value that may be given more than once.
const REPEATABLE: [&str; 2] = ["header", "encrypt-to"];

/// Read the arguments (without the program's name).
pub fn parse(args: &[String]) -> Result<Parsed> {
    let mut table = getopts::Options::new();
    for Spec(short, long, hint, help, _) in &OPTIONS {
        match (*hint, *long) {
            ("", _) => table.optflagmulti(short, long, help),
            (_, _) => table.optmulti(short, long, help, hint),
        };
    }
    let (args, argv) = match args.iter().position(|arg| arg == "--") {
        Some(at) => (&args[..at], Some(args[at + 1..].to_vec())),
        None => (args, None),
    };
    let matches = table.parse(args).map_err(|e| {
        use getopts::Fail as F;
        match e {
            F::UnrecognizedOption(o) => bad(&dashes(&o), "no such option"),
            F::ArgumentMissing(o) => bad(&dashes(&o), "needs a value"),
            F::UnexpectedArgument(o) => bad(&dashes(&o), "takes no value"),
            F::OptionMissing(o) | F::OptionDuplicated(o) => bad(&dashes(&o), "given twice"),
        }
    })?;
    if matches.opt_present("h") {
        return Ok(Parsed::Show(usage()));
    }
    if matches.opt_present("V") {
        let version = concat!("s3pipe ", env!("CARGO_PKG_VERSION"), "\n");
        return Ok(Parsed::Show(version.into()));
    }
    let command = command(&matches.free)?;
    fits(&matches, command)?;
    let mut options = options(&matches, command)?;
    options.argv = command_line(argv, command)?;
    Ok(Parsed::Run(Box::new(options)))
}

fn bad(what: &str, why: &str) -> Error {
    Error::new(Exit::Usage, what, format!("{why} (see s3pipe -h)"))
}

fn dashes(name: &str) -> String {
    match name.chars().count() {
        1 => format!("-{name}"),
        _ => format!("--{name}"),
    }
}

fn command(free: &[String]) -> Result<Command> {
    let Some(word) = free.first() else {
        return Err(bad("command", "missing: upload, download, list, ..."));
    };
    let Some(command) = Command::parse(word) else {
        return Err(bad(&format!("'{word}'"), "no such command"));
    };
    match free.get(1) {
        None => Ok(command),
        Some(extra) => Err(bad(&format!("'{extra}'"), "one command, and no operands")),
    }
}

/// What stands behind `--`, where it makes sense.
fn command_line(argv: Option<Vec<String>>, command: Command) -> Result<Vec<String>> {
    match argv {
        None => Ok(Vec::new()),
        Some(_) if !matches!(command, Upload | Download) => {
            Err(bad("--", &format!("not for {}", command.word())))
        }
        Some(argv) if argv.is_empty() => Err(bad("--", "needs a command behind it")),
        Some(argv) => Ok(argv),
    }
}

/// Options given twice, and those that this command has no use for.
fn fits(matches: &getopts::Matches, command: Command) -> Result<()> {
    for Spec(short, long, hint, _, commands) in &OPTIONS {
        let name = if long.is_empty() { short } else { long };
        let times = matches.opt_count(name);
        if times > 1 && !hint.is_empty() && !REPEATABLE.contains(long) {
            return Err(bad(&dashes(name), "given twice"));
        }
        if times > 0 && !commands.is_empty() && !commands.contains(&command) {
            return Err(bad(&dashes(name), &format!("not for {}", command.word())));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
