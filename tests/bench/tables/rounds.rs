//! Rounds of transfers without limits: in each the floor, then s3pipe with each
//! number of workers, then the peers; what they cost is for `cpu` and `speed`.

use crate::Outcome;
use crate::bench::{Bench, Program, Scheme};
use crate::call::Endpoint;
use crate::transfer::{Moved, Transfer, Way};

/// One way of moving a stream, by all who can.
pub struct Group {
    pub way: Way,
    /// The floor's is the first.
    pub lines: Vec<Line>,
}

/// One program's runs, by round.
pub struct Line {
    pub program: Program,
    pub runs: Vec<Moved>,
    /// Why a peer has no more runs than that.
    pub failure: Option<String>,
}

impl Line {
    /// A figure of each run.
    pub fn each(&self, figure: impl Fn(&Moved) -> f64) -> Vec<f64> {
        self.runs.iter().map(figure).collect()
    }

    /// A figure of each run, divided by that of `other` in the same round.
    pub fn against(&self, other: &Line, figure: impl Fn(&Moved) -> f64) -> Vec<f64> {
        let pairs = self.runs.iter().zip(&other.runs);
        pairs.map(|(own, its)| figure(own) / figure(its)).collect()
    }
}

/// Does them all.
pub fn measure(
    bench: &mut Bench,
    scheme: Scheme,
    ways: &[Way],
    jobs: &[u32],
) -> Outcome<Vec<Group>> {
    let mut groups = Vec::new();
    for way in ways {
        groups.push(group(bench, scheme, *way, jobs)?);
    }
    Ok(groups)
}

fn group(bench: &mut Bench, scheme: Scheme, way: Way, jobs: &[u32]) -> Outcome<Group> {
    let bytes = bench.settings.bytes;
    let floor = Transfer {
        program: Program::Floor,
        way,
        scheme,
        bytes,
    };
    // Not counted: it brings the files' pages back, where the kernel (or a
    // virtual machine's host) has taken them away since they were written.
    floor.run(bench)?;
    let mut lines: Vec<Line> = programs(bench, scheme, way, jobs)?
        .into_iter()
        .map(|program| Line {
            program,
            runs: Vec::new(),
            failure: None,
        })
        .collect();
    for round in 1..=bench.settings.runs {
        for line in lines.iter_mut().filter(|line| line.failure.is_none()) {
            let bytes = match (line.program, way) {
                // curl sends a file, and there is but one.
                (Program::Peer(_), Way::UpFile) => bytes,
                (Program::Peer(_), _) => bytes.div_ceil(2),
                _ => bytes,
            };
            let program = line.program;
            let transfer = Transfer {
                program,
                bytes,
                ..floor
            };
            match transfer.run(bench) {
                Ok(moved) => {
                    tell(way, round, program, &moved);
                    line.runs.push(moved);
                }
                Err(e) if matches!(program, Program::Peer(_)) => {
                    eprintln!("{}, {round}: failed: {e}", way.name());
                    line.failure = Some(e.to_string());
                }
                Err(e) => return Err(e),
            }
        }
    }
    Ok(Group { way, lines })
}

/// Who can move a stream that way.
fn programs(bench: &Bench, scheme: Scheme, way: Way, jobs: &[u32]) -> Outcome<Vec<Program>> {
    let endpoint: Endpoint = bench.endpoint(scheme)?;
    let mut programs = vec![Program::Floor];
    programs.extend(jobs.iter().map(|jobs| Program::S3pipe(*jobs)));
    for (tool, program) in &bench.peers {
        let task = way.task();
        if task.is_some_and(|task| tool.call(program, task, &endpoint).is_some()) {
            programs.push(Program::Peer(*tool));
        }
    }
    Ok(programs)
}

fn tell(way: Way, round: usize, program: Program, moved: &Moved) {
    let cost = &moved.cost;
    eprintln!(
        "{}, {round}: {}: {:.2} user + {:.2} system, {:.2} s",
        way.name(),
        program.name(),
        cost.user,
        cost.system,
        cost.wall.as_secs_f64()
    );
    if cost.disk_reads > 0 && way == Way::UpFile {
        eprintln!(
            "note: {} reads of the input file went to the disk",
            cost.disk_reads
        );
    }
}
