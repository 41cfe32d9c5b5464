//! Searches source code with a trigram index, and shows what its own profiles say.
//!
//! It indexes the sources of the crates that cargo has fetched (or any directory), answers queries from the terminal
//! and over HTTP, and goes on indexing and asking itself questions, so that there is CPU time, lock contention and
//! heap to look at while it runs. What `profiled` needs of a program is all in sight: the allocator and the server in
//! this file, `#[profiled]`, `profile_mutex!`, `profile!` and `labels!` in the modules.
use std::fmt::Display;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

mod args;
mod commands;
mod history;
mod index;
mod once;
mod query;
mod serve;
mod walk;

use args::Args;
use commands::Commands;

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

const HELP: &str = "\
TEXT       search it, as it is written
drop       free the index: the live heap falls
index      index now, and go on indexing
stats      how large the index is
help       this
quit       end";

fn main() -> ExitCode {
    let args = match args::parse(std::env::args_os().skip(1)) {
        Ok(Some(args)) => args,
        Ok(None) => {
            say(args::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            _ = writeln!(io::stderr(), "codesearch: {wrong}\n\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    let commands = Arc::new(Commands::new(args.roots.clone(), args.limit, args.threads));
    if args.leak {
        history::leak();
    }
    let done = match &args.once {
        Some(folder) => once::run(&commands, args.rounds, folder),
        None => run(&args, &commands),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            _ = writeln!(io::stderr(), "codesearch: {wrong}");
            ExitCode::FAILURE
        }
    }
}

/// Serves, indexes, and obeys the terminal until it says `quit`.
fn run(args: &Args, commands: &Arc<Commands>) -> Result<(), String> {
    let profiles = profiled::http::serve(args.pprof.as_str())
        .map_err(|error| format!("cannot serve profiles at {}: {error} (--pprof ADDR)", args.pprof))?;
    let address = serve::start(&args.http, Arc::clone(commands))
        .map_err(|error| format!("cannot answer queries at {}: {error} (--http ADDR)", args.http))?;
    say(format_args!("profiles  http://{}/debug/pprof/", profiles.local_addr()));
    say(format_args!("queries   http://{address}/search?q=HashMap"));
    say(commands.index(true));
    say(commands.stats());
    if cfg!(feature = "profiling") {
        say(what_to_look_at(&profiles.local_addr().to_string()));
    } else {
        say("built without profiling: the profiles are empty");
    }

    let again = Arc::clone(commands);
    let (rounds, pause, load) = (args.rounds, args.pause, args.load);
    spawn("reindexer", move || again.keep_indexing(rounds, pause))?;
    if load > 0.0 {
        spawn("self-queries", move || query::load(load))?;
    }
    obey(commands);
    Ok(())
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let started = thread::Builder::new().name(name.into()).spawn(work);
    started.map(drop).map_err(|error| format!("cannot start a thread: {error}"))
}

/// Reads commands until `quit`. At the end of the input there is nobody to say it: then the servers go on alone.
fn obey(commands: &Commands) {
    let mut input = io::stdin().lock();
    let mut line = Vec::new();
    loop {
        line.clear();
        match input.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        match line.trim_ascii() {
            b"" => {}
            b"quit" => return,
            b"help" => say(HELP),
            b"drop" => say(commands.drop_index()),
            b"index" => say(commands.index_again()),
            b"stats" => say(commands.stats()),
            text => match query::search(text, 20) {
                Ok(answer) => say(answer),
                Err(refused) => say(refused),
            },
        }
    }
    loop {
        thread::park();
    }
}

fn what_to_look_at(address: &str) -> String {
    format!(
        "
Type a text to search it, `help` for the commands. Meanwhile, from another terminal:

go tool pprof -top 'http://{address}/debug/pprof/profile?seconds=5'     CPU time, for five seconds
go tool pprof -top http://{address}/debug/pprof/heap                    live memory; then type `drop`, and look again
go tool pprof -top http://{address}/debug/pprof/allocs                  all memory since the start
go tool pprof -top http://{address}/debug/pprof/mutex                   who held a lock while others waited
go tool pprof -top http://{address}/debug/pprof/block                   who waited
curl 'http://{address}/debug/pprof/functions?debug=1'                   calls and times of #[profiled] functions
curl 'http://{address}/debug/pprof/codesearch/indexes?debug=1'          a profile of this program's own
go tool pprof -http=127.0.0.1:8080 http://{address}/debug/pprof/heap    graphs, in the browser
"
    )
}

/// Prints a line; if nobody reads it any more, that is no reason to stop.
fn say(text: impl Display) {
    _ = writeln!(io::stdout(), "{text}");
}
