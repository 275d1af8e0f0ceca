//! What systemd is told, and what its journal gets.

use std::{
    fs::{self, File},
    io::Read,
    os::{
        linux::{fs::MetadataExt, net::SocketAddrExt},
        unix::{
            fs::PermissionsExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tcpkit_tests::{
    agent::{Agent, PublicCopy, command},
    folder::Folder,
    netns::{Netns, eventually},
    process::root,
    redis::{RedisServer, benchmark},
};

/// Where the agent is to tell.
struct Listener(UnixDatagram);

impl Listener {
    fn new(socket: UnixDatagram) -> Self {
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(socket)
    }

    #[track_caller]
    fn receive(&self) -> String {
        let mut bytes = [0; 4096];
        let count = self.0.recv(&mut bytes).expect("it tells within 10 s");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    /// The next that is no sign of life.
    fn receive_other(&self) -> String {
        loop {
            match self.receive() {
                alive if alive == "WATCHDOG=1" => {}
                other => return other,
            }
        }
    }
}

#[test]
fn systemd_is_told_what_the_agent_does() {
    let netns = Netns::new();
    let folder = Folder::new();
    let path = folder.file("socket");
    let name = format!("tcpkit-test-{}", std::process::id());
    let by_path = UnixDatagram::bind(&path).unwrap();
    // The agent does not remain root.
    fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    // Such names are a network namespace's own.
    let by_name = netns.run(|| UnixDatagram::bind_addr(&address).unwrap());
    for (socket, listener) in
        [(path.to_str().unwrap().to_owned(), by_path), (format!("@{name}"), by_name)]
    {
        let listener = Listener::new(listener);
        let mut command = command("-i lo -p redis tcp");
        command.env("NOTIFY_SOCKET", &socket);
        let mut agent = Agent::spawn(&netns, command);
        assert_eq!(listener.receive(), "READY=1\nSTATUS=listening on lo");
        let before = monotonic_us();
        agent.signal(Signal::SIGHUP);
        let told = listener.receive();
        let time =
            told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_else(|| panic!("{told}"));
        assert!((before..=monotonic_us()).contains(&time.parse().unwrap()));
        agent.wait_for_stderr("options were read again", 1);
        assert_eq!(listener.receive(), "READY=1\nSTATUS=listening on lo");
        agent.signal(Signal::SIGTERM);
        assert_eq!(listener.receive(), "STOPPING=1");
        assert_eq!(agent.wait().status.code(), Some(0));
    }
}

/// What is asked before the agent captures is done once it does.
#[test]
fn a_reload_during_the_start_is_told_after_it() {
    let netns = Netns::new();
    let folder = Folder::new();
    let (path, script) = (folder.file("socket"), folder.file("a.lua"));
    let listener = Listener::new(UnixDatagram::bind(&path).unwrap());
    fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
    // It takes its time, and says when it begins.
    let text = "function init() io.stderr:write('begins') local n = 0
                for i = 1, 3e6 do n = n + i end end function finish() end";
    fs::write(&script, text).unwrap();
    let mut command = command("-i lo tcp -S");
    command.arg(&script).args(["--script-budget", "0"]).env("NOTIFY_SOCKET", &path);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = netns.run(|| command.spawn().unwrap());
    let mut begins = [0; 6];
    child.stderr.as_mut().unwrap().read_exact(&mut begins).unwrap();
    for _ in 0..3 {
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGHUP).unwrap();
    }
    let ready = "READY=1\nSTATUS=listening on lo";
    assert_eq!(listener.receive(), ready);
    assert!(listener.receive().starts_with("RELOADING=1"));
    assert_eq!(listener.receive(), ready);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert_eq!(listener.receive(), "STOPPING=1");
    assert!(child.wait().unwrap().success());
}

/// On the clock that systemd compares with.
fn monotonic_us() -> u64 {
    tcpkit::capture::monotonic_ns() / 1_000
}

#[test]
fn signs_of_life_end_when_the_output_is_stuck() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    for options in ["", "--workers 3"] {
        let folder = Folder::new();
        let path = folder.file("socket");
        let listener = Listener::new(UnixDatagram::bind(&path).unwrap());
        fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
        let mut command = command(&format!("-i veth0 -p redis {options} tcp port 6379"));
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000");
        // Nobody reads what it prints.
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = near.run(|| command.spawn().unwrap());
        let mut stdout = child.stdout.take().unwrap();
        assert!(listener.receive_other().starts_with("READY=1"));
        let started = Instant::now();
        for _ in 0..6 {
            assert_eq!(listener.receive(), "WATCHDOG=1");
        }
        // At least twice in the time in which one sign is wanted.
        assert!(started.elapsed() < Duration::from_millis(3 * 400), "{:?}", started.elapsed());

        let mut load = near.run(|| benchmark("-t ping_mbulk -n 200000 -c 20").spawn().unwrap());
        listener.0.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut bytes = [0; 64];
        // Until it was silent for five times as long as is allowed.
        eventually("the signs end", || listener.0.recv(&mut bytes).is_err());
        // Somebody reads: it lives.
        let reader = std::thread::spawn(move || {
            let mut chunk = vec![0; 1 << 16];
            while let Ok(1..) = stdout.read(&mut chunk) {}
        });
        listener.0.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert_eq!(listener.receive(), "WATCHDOG=1");
        assert!(load.wait().unwrap().success());
        child.kill().unwrap();
        child.wait().unwrap();
        reader.join().unwrap();
    }
}

#[test]
fn a_watchdog_for_another_process_is_not_ours() {
    let netns = Netns::new();
    let folder = Folder::new();
    let path = folder.file("socket");
    let listener = Listener::new(UnixDatagram::bind(&path).unwrap());
    fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
    let mut command = command("-i lo tcp");
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "1000").env("WATCHDOG_PID", "1");
    let agent = Agent::spawn(&netns, command);
    assert!(listener.receive().starts_with("READY=1"));
    agent.signal(Signal::SIGTERM);
    assert_eq!(listener.receive(), "STOPPING=1");
    assert_eq!(agent.wait().status.code(), Some(0));
}

/// The unit that is handed out, looked at by systemd itself.
#[test]
fn the_unit_is_understood_and_hardened() {
    let folder = Folder::new();
    let unit = folder.file("tcpkit.service");
    let text = fs::read_to_string(root().join("docs/tcpkit.service")).unwrap();
    // Whether a program is there is looked at, too.
    let agent = PublicCopy::new();
    let here = text.replace("/usr/local/bin/tcpkit", agent.path().to_str().unwrap());
    assert_ne!(text, here);
    fs::write(&unit, here).unwrap();
    let analyze = |words: &[&str]| {
        let output = Command::new("systemd-analyze").args(words).arg(&unit).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    assert_eq!(analyze(&["verify"]), (true, String::new()));
    // 10 is a service without any hardening; what is not needed is not there.
    let (is_hardened, said) = analyze(&["security", "--offline=true", "--threshold=25"]);
    assert!(is_hardened, "{said}");
}

#[test]
fn the_journal_gets_levels() {
    let netns = Netns::new();
    let folder = Folder::new();
    let path = folder.file("journal");
    for is_journal in [true, false] {
        let file = File::create(&path).unwrap();
        let it = file.metadata().unwrap();
        let inode = it.st_ino() + u64::from(!is_journal);
        let mut command = command("-i lo -v -p redis -P 0.0.0.0:4444 -c 1 -r");
        command.arg(root().join("tests/fixtures/redis/commands.pcap"));
        command.env("JOURNAL_STREAM", format!("{}:{inode}", it.st_dev()));
        command.stdout(Stdio::null()).stderr(file);
        assert!(netns.run(|| command.status().unwrap()).success());
        let said = fs::read_to_string(&path).unwrap();
        let begins = |text: &str| said.lines().any(|line| line.starts_with(text));
        assert_eq!(begins("<4>whoever reaches 0.0.0.0:4444"), is_journal, "{said}");
        assert_eq!(begins("<6>privileges are dropped"), is_journal, "{said}");
        assert_eq!(said.contains("WARN"), !is_journal, "{said}");
        assert!(begins("tcpkit: reading from"), "{said}");
        // Why it ends is something bad.
        let file = File::options().write(true).truncate(true).open(&path).unwrap();
        let mut command = tcpkit_tests::agent::command("-i nosuch0 tcp");
        command.env("JOURNAL_STREAM", format!("{}:{inode}", it.st_dev())).stderr(file);
        assert!(!netns.run(|| command.status().unwrap()).success());
        let said = fs::read_to_string(&path).unwrap();
        assert_eq!(said.starts_with("<3>tcpkit: "), is_journal, "{said}");
    }
}
