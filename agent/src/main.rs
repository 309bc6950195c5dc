use std::process::ExitCode;

fn main() -> ExitCode {
    env_logger::Builder::new()
        .filter_level(log::LevelFilter::Info)
        .parse_env("DAXSCOPE_LOG")
        .format_timestamp(None)
        .init();
    daxscope::cli::main()
}
