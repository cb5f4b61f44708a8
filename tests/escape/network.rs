//! No network: every family, every way to a listener of the host.

use crate::case::{Case, run};
use crate::site::Kind;

pub(crate) async fn hold(kind: Kind) {
    run(kind, CASES).await;
}

pub(crate) const CASES: &[Case] = &[
    Case::python(
        "TCP to listeners of the host over loopback",
        r#"
port = int(os.environ["CANARY_PORT"])
for address in "127.0.0.1", "127.0.0.2", "0.0.0.0", "localhost", os.uname().nodename:
    denied(address, lambda: connect(socket.AF_INET, (address, port)))
"#,
    ),
    Case::python(
        "TCP to the host over IPv6, mapped and link-local",
        r#"
port, port6 = int(os.environ["CANARY_PORT"]), int(os.environ["CANARY_PORT6"])
denied("::1", lambda: connect(socket.AF_INET6, ("::1", port6)))
denied("::1", lambda: connect(socket.AF_INET6, ("::1", port)))
denied("mapped", lambda: connect(socket.AF_INET6, ("::ffff:127.0.0.1", port)))
denied("all nodes", lambda: connect(socket.AF_INET6, ("ff02::1", port6, 0, 1), socket.SOCK_DGRAM))
denied("beyond", lambda: connect(socket.AF_INET6, ("2001:db8::1", port6)))
"#,
    ),
    Case::python(
        "TCP to gateways of containers, the metadata service, and beyond",
        r#"
port = int(os.environ["CANARY_PORT"])
for address in "172.17.0.1", "172.18.0.1", "10.0.0.1", "192.168.0.1", "192.0.2.1":
    denied(address, lambda: connect(socket.AF_INET, (address, port)), errno.ENETUNREACH)
denied("metadata", lambda: connect(socket.AF_INET, ("169.254.169.254", 80)), errno.ENETUNREACH)
"#,
    ),
    Case::python(
        "UDP to the host, broadcast, and multicast",
        r#"
port = int(os.environ["CANARY_UDP"])
def send(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        udp.sendto(b"escaped", (address, port))
for address in "172.17.0.1", "255.255.255.255", "224.0.0.1", "192.0.2.1":
    denied(address, lambda: send(address), errno.ENETUNREACH)
if NAMESPACES:
    # Goes out on the sandbox's own loopback: the canary must not hear it.
    send("127.0.0.1")
else:
    denied("loopback", lambda: send("127.0.0.1"), errno.ENETUNREACH)
"#,
    ),
    Case::python(
        "DNS by the resolver's file and by hand",
        r#"
servers = ["127.0.0.11", "127.0.0.53", "192.0.2.53"]
if os.path.exists("/etc/resolv.conf"):
    servers += [line.split()[1] for line in open("/etc/resolv.conf") if line.startswith("nameserver")]
question = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\x09localhost\0\0\1\0\1"
def ask(server):
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.settimeout(0.3)
        udp.connect((server, 53))
        udp.send(question)
        return udp.recv(512)
for server in servers:
    denied(server, lambda: ask(server))
denied("the resolver", lambda: socket.getaddrinfo("sandtable.invalid", 80))
"#,
    ),
    Case::python(
        "raw and ICMP sockets",
        r#"
for family in socket.AF_INET, socket.AF_INET6:
    for protocol in 1, 6, 17, 58, 255:
        denied(f"raw {family} {protocol}", lambda: socket.socket(family, socket.SOCK_RAW, protocol))
def ping():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as icmp:
        icmp.sendto(b"\x08\0\xf7\xff\0\0\0\0", ("172.17.0.1", 0))
denied("ping", ping)
"#,
    ),
    Case::python(
        "packet sockets",
        r#"
for kind in socket.SOCK_RAW, socket.SOCK_DGRAM, socket.SOCK_PACKET if hasattr(socket, "SOCK_PACKET") else 10:
    denied(f"packet {kind}", lambda: socket.socket(socket.AF_PACKET, kind, 0x0300))
"#,
    ),
    Case::python(
        "routes, addresses, and links by netlink",
        r#"
def netlink(kind, payload, flags=0x405):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as made:
        made.settimeout(2)
        made.bind((0, 0))
        made.send(struct.pack("=IHHII", 16 + len(payload), kind, flags | 0x100, 1, 0) + payload)
        answer = made.recv(4096)
        code = -struct.unpack_from("=i", answer, 16)[0]
        if code:
            raise OSError(code, os.strerror(code))
        return answer
attribute = lambda kind, data: struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)
route = struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 3, 253, 1, 0) + attribute(4, struct.pack("=I", 1))
address = struct.pack("=BBBBI", 2, 24, 0, 0, 1) + attribute(2, bytes([192, 0, 2, 9])) + attribute(1, bytes([192, 0, 2, 9]))
dummy = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + attribute(18, attribute(1, b"dummy"))
denied("route", lambda: netlink(24, route))
denied("address", lambda: netlink(20, address))
denied("link", lambda: netlink(16, dummy))
"#,
    ),
    Case::python(
        "interfaces by ioctl and by device",
        r#"
any_socket = (socket.AF_INET, socket.SOCK_DGRAM) if NAMESPACES else (socket.AF_UNIX, socket.SOCK_STREAM)
with socket.socket(*any_socket) as udp:
    name = b"lo".ljust(16, b"\0")
    denied("down", lambda: fcntl.ioctl(udp, 0x8914, name + struct.pack("=h", 0) + bytes(22)))
    denied("address", lambda: fcntl.ioctl(udp, 0x8916, name + struct.pack("=HH4s", 2, 0, bytes([192, 0, 2, 9])) + bytes(16)))
    denied("bridge", lambda: fcntl.ioctl(udp, 0x89A0, b"br0".ljust(16, b"\0")))
denied("tun", lambda: os.open("/dev/net/tun", os.O_RDWR))
same("interfaces", [line.split(":")[0].strip() for line in list(open("/proc/net/dev"))[2:]], ["lo"])
"#,
    ),
    Case::python(
        "UNIX sockets in the host's file system",
        r#"
paths = [os.environ["CANARY_SOCKET"], "/proc/1/root" + os.environ["CANARY_SOCKET"]]
paths += ["/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock"]
paths += ["/run/dbus/system_bus_socket", "/run/systemd/private", "/run/snapd.socket", "/dev/log"]
for path in paths:
    denied(path, lambda: connect(socket.AF_UNIX, path))
"#,
    ),
    Case::python(
        "abstract UNIX sockets of the host",
        r#"
denied("canary", lambda: connect(socket.AF_UNIX, "\0" + os.environ["CANARY_ABSTRACT"]))
names = [line.split()[-1] for line in open("/proc/net/unix") if "@" in line]
# The door of a guest in a pod, where programs are turned away (`tests/kubernetes/streams.rs`).
names = [name for name in names if not name.startswith("@sandtable-")]
same("abstract names", names, [])
# Its own are its own matter, with a name of the kernel's as well.
for name in "\0of-the-sandbox", "":
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        own = server.getsockname()
        same("own name", connect(socket.AF_UNIX, own), own)
"#,
    ),
    Case::python(
        "VSOCK and every other family",
        r#"
def vsock(cid):
    return connect(40, (cid, 1024))
denied("vsock", lambda: socket.socket(40, socket.SOCK_STREAM))
for cid in 0, 1, 2:
    denied(f"vsock to {cid}", lambda: vsock(cid))
for family in sorted(set(range(3, 60)) - {10, 16}):
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET:
        denied(f"family {family} {kind}", lambda: socket.socket(family, kind))
"#,
    ),
    Case::python(
        "firewalls, audit, and kernel events by netlink",
        r#"
def bound(protocol, groups):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as made:
        made.bind((0, groups))
        made.settimeout(0.1)
        return made.recv(4096)
for protocol in range(1, 23):
    denied(f"socket {protocol}", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol))
    denied(f"protocol {protocol}", lambda: bound(protocol, 1))
"#,
    ),
];
