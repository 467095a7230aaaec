//! The steps of the protocol, by the numbers that s3pipe(5) gives them: which
//! requests each makes, and which may come after it.
//!
//! The model takes its steps from here, and [`is_path`] holds the requests of the
//! program itself against the same table: so neither can go a way that the other
//! does not know. This file needs nothing but std, for other tests to include it.

#![allow(dead_code)] // Who includes this wants is_path only.

/// What the table says of a step.
pub struct Row {
    /// Its number in s3pipe(5).
    pub number: &'static str,
    /// The requests that it makes, any of them; "" for none at all.
    pub requests: &'static [&'static str],
    /// The steps that can follow it.
    pub next: &'static [Step],
    /// Those that can follow it only where there is more of everything than in
    /// the model: blocks, pages, uploads; or what it does not know of.
    pub more: &'static [Step],
}

macro_rules! steps {
    ($($name:ident $number:literal [$($request:literal)*] => [$($next:ident)*] + [$($more:ident)*])*) => {
        /// A step of the protocol.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Step {
            $(#[doc = $number] $name,)*
        }

        impl Step {
            /// All of them.
            pub const ALL: &'static [Step] = &[$(Step::$name),*];

            /// What the table says of it.
            pub fn row(self) -> Row {
                match self {
                    $(Step::$name => Row {
                        number: $number,
                        requests: &[$($request),*],
                        next: &[$(Step::$next),*],
                        more: &[$(Step::$more),*],
                    },)*
                }
            }
        }
    };
}

#[rustfmt::skip] // A step, a line; or two.
steps! {
    // COMMIT PROTOCOL: an upload.
    Look          "1" ["GET manifest"] => [Record FindRecord] + [OldInfo]
    OldInfo       "1" ["HEAD v1-info" "GET v1-info"] => [] + [Record FindRecord]
    Record        "2" ["PUT record"] => [RecordSeen] + []
    RecordSeen    "2" ["GET record"] => [Record First] + [RecordSeen]
    // Resuming an upload, which stands for step 2.
    FindRecord    "resume 1" ["GET list-upload"] => [ReadRecord Record] + [FindRecord]
    ReadRecord    "resume 2" ["GET record"] => [TakeOver Record] + []
    TakeOver      "resume 2" ["PUT record"] => [TakenOver] + []
    TakenOver     "resume 3" ["GET record"] => [LookAgain] + [TakenOver]
    LookAgain     "resume 4" ["GET manifest"] => [ListBlocks] + []
    ListBlocks    "3" ["GET list-block"] => [First] + [ListBlocks]
    First         "3" ["PUT block" ""] => [Second AbandonLook] + [First ListBlocks]
    Second        "3" ["PUT block" ""] => [Index] + [First ListBlocks]
    Index         "3" ["PUT index" ""] => [LookLast] + [First ListBlocks]
    AbandonLook   "3" ["GET record"] => [AbandonRecord] + []
    AbandonRecord "3" ["DELETE record"] => [] + []
    LookLast      "4" ["GET manifest"] => [Own StillOwn] + []
    Own           "5" ["GET record"] => [Commit] + []
    Commit        "6" ["PUT manifest"] => [Committed] + []
    Committed     "7" ["GET manifest"] => [LookLast StillOwn] + []
    StillOwn      "8" ["GET record"] => [Compare OldRecord OwnRecord] + []
    Compare       "9" ["GET list-index" "GET index" "GET list-block" "HEAD block" "GET block"]
                      => [StraysLook OldRecord OwnRecord] + [Compare]
    StraysLook    "9" ["GET manifest"] => [Strays OldRecord] + []
    Strays        "9" ["GET index" "DELETE block" "DELETE index"]
                      => [OldRecord OwnRecord] + [Strays StraysLook Compare]
    OldRecord     "10" ["DELETE record"] => [OldLook] + []
    OldLook       "10" ["GET manifest"] => [OldBlocks OwnRecord] + []
    OldBlocks     "10" ["GET list-block" "GET manifest" "POST bulk-delete" "DELETE block"]
                       => [OldLookAgain] + [OldBlocks]
    OldLookAgain  "10" ["GET manifest" ""] => [OldIndexes OwnRecord] + []
    OldIndexes    "10" ["GET list-index" "GET manifest" "POST bulk-delete" "DELETE index"]
                       => [OwnRecord] + [OldIndexes]
    OwnRecord     "10" ["DELETE record"] => [End] + []
    // To delete a stream.
    DeleteLook      "delete 1" ["GET manifest"] => [DeleteRecord] + [OldDelete]
    DeleteRecord    "delete 2" ["DELETE record"] => [DeleteManifest] + []
    DeleteManifest  "delete 3" ["DELETE manifest"] => [DeleteSeen] + []
    DeleteSeen      "delete 4" ["GET manifest"] => [DeleteManifest DeleteBlocks] + []
    DeleteBlocks    "delete 5" ["GET list-block" "GET manifest" "POST bulk-delete" "DELETE block"]
                               => [DeleteLookAgain] + [DeleteBlocks]
    DeleteLookAgain "delete 5" ["GET manifest" ""] => [DeleteIndexes] + []
    DeleteIndexes   "delete 5" ["GET list-index" "GET manifest" "POST bulk-delete" "DELETE index"]
                               => [DeleteLookLast] + [DeleteIndexes]
    DeleteLookLast  "delete 6" ["GET manifest"] => [End] + []
    OldDelete       "delete 1" ["HEAD v1-info" "GET v1-info" "GET list-v1" "HEAD v1-block"
                                "GET v1-block" "DELETE v1-info" "DELETE v1-block" "POST bulk-delete"]
                               => [End] + [OldDelete DeleteLook]
    // What stays behind: clean, upload by upload.
    CleanLimit      "clean 1" [""] => [CleanList] + []
    CleanList       "clean 1" ["GET list-upload" "GET list-index" "GET list-block"]
                              => [CleanLook] + [CleanList End]
    CleanLook       "clean 2" ["GET manifest"] => [CleanListAgain] + [CleanLook End]
    CleanListAgain  "clean 3" ["GET list-upload" "GET list-index" "GET list-block"]
                              => [CleanLookTwice CleanCompare] + [CleanListAgain CleanLook End]
    CleanLookTwice  "clean 3" ["GET manifest"] => [CleanRecord CleanCompare] + [CleanLook End]
    CleanRecord     "clean 4" ["DELETE record"] => [CleanLookAgain] + []
    CleanLookAgain  "clean 5" ["GET manifest"] => [CleanBlocks] + [CleanLook End]
    CleanBlocks     "clean 6" ["GET list-block" "GET manifest" "POST bulk-delete" "DELETE block"]
                              => [CleanLookOnce] + [CleanBlocks]
    CleanLookOnce   "clean 6" ["GET manifest" ""] => [CleanIndexes] + []
    CleanIndexes    "clean 6" ["GET list-index" "GET manifest" "POST bulk-delete" "DELETE index"]
                              => [] + [CleanIndexes CleanLook End]
    // The same, of an upload that is committed.
    CleanCompare    "tidy 2" ["GET list-index" "GET index" "GET list-block" "HEAD block" "GET block"]
                             => [CleanStraysLook CleanFinish] + [CleanCompare CleanLook End]
    CleanStraysLook "tidy 3" ["GET manifest"] => [CleanStrays] + [CleanLook End]
    CleanStrays     "tidy 4" ["GET index" "DELETE block" "DELETE index"]
                             => [CleanFinish] + [CleanStrays CleanStraysLook CleanCompare]
    CleanFinish     "tidy 5" ["DELETE record"] => [] + [CleanLook End]
    // A reader.
    ReadManifest "read 1" ["GET manifest"] => [ReadIndex] + [OldStream End]
    ReadIndex    "read 2" ["GET index"] => [ReadFirst ReadAgain] + [ReadIndex End]
    ReadFirst    "read 2" ["GET block"] => [ReadSecond ReadAgain] + [ReadFirst ReadIndex End]
    ReadSecond   "read 2" ["GET block"] => [ReadAgain] + [ReadFirst ReadIndex End]
    ReadAgain    "read 3" ["GET manifest"] => [] + []
    OldStream    "read 1" ["HEAD v1-info" "GET v1-info" "GET list-v1" "HEAD v1-block" "GET v1-block"]
                          => [End] + [OldStream ReadManifest]
    // The end of a run, with exit status 0.
    End "end" [""] => [] + []
}

impl Step {
    /// Whether the model has no such step.
    pub fn is_beyond(self) -> bool {
        matches!(
            self,
            Step::OldInfo | Step::OldDelete | Step::OldStream | Step::End
        )
    }

    /// Whether this is its request.
    fn makes(self, request: &str) -> bool {
        self.row().requests.contains(&request)
    }

    /// The steps that can follow, those included that need no request.
    fn reach(self, into: &mut Vec<Step>) {
        let row = self.row();
        for step in row.next.iter().chain(row.more) {
            if !into.contains(step) {
                into.push(*step);
                if step.makes("") {
                    step.reach(into);
                }
            }
        }
    }
}

/// Whether the requests of a command that met no fault, a line each, such as
/// `GET manifest`, are a path of the model: to its end, if the exit status was 0.
/// If not, what was expected.
pub fn is_path(command: &str, status: i32, trace: &[String]) -> Result<(), String> {
    let first = match command {
        "upload" => Step::Look,
        "delete" => Step::DeleteLook,
        "clean" => Step::CleanList,
        "download" => Step::ReadManifest,
        _ => return changes_nothing(command, trace),
    };
    let mut now = vec![first];
    for (n, request) in trace.iter().enumerate() {
        let reached: Vec<Step> = now.iter().copied().filter(|s| s.makes(request)).collect();
        if reached.is_empty() {
            let wanted: Vec<_> = now.iter().flat_map(|s| s.row().requests).collect();
            return Err(format!(
                "{command}: request {} is {request}, not one of {wanted:?}, behind {:?}",
                n + 1,
                &trace[..n]
            ));
        }
        now.clear();
        reached.iter().for_each(|step| step.reach(&mut now));
    }
    if status == 0 && !now.contains(&Step::End) {
        return Err(format!(
            "{command}: exit status 0 before its end, behind {trace:?}"
        ));
    }
    Ok(())
}

/// The other commands only read; or make and remove buckets, and nothing else.
fn changes_nothing(command: &str, trace: &[String]) -> Result<(), String> {
    let harmless = |request: &&String| {
        let reads = request.starts_with("GET ") || request.starts_with("HEAD ");
        reads || command.ends_with("bucket") && request.ends_with(" bucket")
    };
    match trace.iter().find(|request| !harmless(request)) {
        Some(request) => Err(format!("{command} changes something: {request}")),
        None => Ok(()),
    }
}
