//! A door for `ssh`: a port of this machine that leads through a SOCKS5 proxy to the host it is for.
//!
//! `ssh` itself speaks to no proxy, and which helper programs there are differs from machine to machine.

use std::io::{Read, Result, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::auth::Proxy;

/// For how long the proxy may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The door; it closes when it is dropped.
pub(super) struct Door {
    address: SocketAddr,
    closed: Arc<AtomicBool>,
}

/// Where it leads.
#[derive(Clone)]
struct Way {
    /// Host and port of the proxy.
    proxy: String,
    user: Option<(String, String)>,
    host: String,
    port: u16,
}

impl Door {
    /// Opens a door to `host` behind the proxy.
    pub fn open(proxy: &Proxy, host: &str, port: u16) -> crate::Result<Door> {
        let invalid = |why: &str| crate::Error::Invalid(format!("proxy for ssh: {why}"));
        let address = url::Url::parse(&proxy.address).map_err(|_| invalid("its address cannot be read"))?;
        if !matches!(address.scheme(), "socks5" | "socks5h") {
            return Err(invalid("only SOCKS5 leads an ssh connection, socks5://HOST:PORT"));
        }
        let at = address.host_str().ok_or_else(|| invalid("its address has no host"))?;
        let user = proxy.username.clone().map(|user| (user, proxy.password.clone().unwrap_or_default()));
        let way = Way {
            proxy: format!("{at}:{}", address.port().unwrap_or(1080)),
            user,
            host: host.to_owned(),
            port,
        };
        let open = || -> Result<Door> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let address = listener.local_addr()?;
            let closed = Arc::new(AtomicBool::new(false));
            let told = closed.clone();
            std::thread::Builder::new().name("socks".into()).spawn(move || {
                for stream in listener.incoming() {
                    if told.load(Ordering::Relaxed) {
                        return;
                    }
                    let (Ok(stream), way) = (stream, way.clone()) else { continue };
                    let led = std::thread::Builder::new().name("socks".into()).spawn(move || {
                        if let Err(error) = way.lead(&stream) {
                            tracing::warn!(proxy = way.proxy, host = way.host, %error, "an ssh connection was not led");
                        }
                        let _ = stream.shutdown(Shutdown::Both);
                    });
                    if let Err(error) = led {
                        tracing::warn!(%error, "an ssh connection was not led");
                    }
                }
            })?;
            Ok(Door { address, closed })
        };
        open().map_err(|error| invalid(&error.to_string()))
    }

    /// The port of this machine.
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        // Whoever waits for a connection gets a last one.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

fn refused(why: &str) -> std::io::Error {
    std::io::Error::other(why.to_owned())
}

impl Way {
    fn lead(&self, near: &TcpStream) -> Result<()> {
        let mut far = TcpStream::connect(&self.proxy)?;
        far.set_read_timeout(Some(PATIENCE))?;
        self.greet(&mut far)?;
        far.set_read_timeout(None)?;
        let (mut up, mut down) = ((near.try_clone()?, far.try_clone()?), (far, near.try_clone()?));
        let back = std::thread::Builder::new().name("socks".into()).spawn(move || {
            let _ = std::io::copy(&mut down.0, &mut down.1);
            let _ = down.1.shutdown(Shutdown::Write);
        })?;
        std::io::copy(&mut up.0, &mut up.1)?;
        up.1.shutdown(Shutdown::Write)?;
        let _ = back.join();
        Ok(())
    }

    /// Asks the proxy to connect.
    fn greet(&self, proxy: &mut TcpStream) -> Result<()> {
        const NAME: u8 = 3;
        let with_user = u8::from(self.user.is_some()) * 2;
        proxy.write_all(&[5, 1, with_user])?;
        let mut answer = [0; 2];
        proxy.read_exact(&mut answer)?;
        if answer != [5, with_user] {
            return Err(refused("the proxy does not let us sign in this way"));
        }
        let short = |text: &str| u8::try_from(text.len()).map_err(|_| refused("a name is too long"));
        if let Some((user, password)) = &self.user {
            let mut request = vec![1, short(user)?];
            request.extend(user.as_bytes());
            request.push(short(password)?);
            request.extend(password.as_bytes());
            proxy.write_all(&request)?;
            proxy.read_exact(&mut answer)?;
            if answer[1] != 0 {
                return Err(refused("the proxy does not know the user"));
            }
        }
        let mut request = vec![5, 1, 0, NAME, short(&self.host)?];
        request.extend(self.host.as_bytes());
        request.extend(self.port.to_be_bytes());
        proxy.write_all(&request)?;
        let mut head = [0; 4];
        proxy.read_exact(&mut head)?;
        if head[1] != 0 {
            return Err(refused("the proxy does not connect to the host"));
        }
        let length = match head[3] {
            1 => 4,
            4 => 16,
            _ => {
                let mut length = [0];
                proxy.read_exact(&mut length)?;
                usize::from(length[0])
            }
        };
        proxy.read_exact(&mut vec![0; length + 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A proxy that says what it was asked, and answers for the host.
    fn proxy(taken: &[u8]) -> (u16, std::thread::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (port, length) = (listener.local_addr().unwrap().port(), taken.len());
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = vec![0; 3];
            stream.read_exact(&mut seen).unwrap();
            stream.write_all(&[5, seen[2]]).unwrap();
            if seen[2] == 2 {
                let mut user = vec![0; 7];
                stream.read_exact(&mut user).unwrap();
                seen.extend(user);
                stream.write_all(&[1, 0]).unwrap();
            }
            let mut request = vec![0; length - seen.len()];
            stream.read_exact(&mut request).unwrap();
            seen.extend(request);
            stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 22]).unwrap();
            let mut said = [0; 5];
            stream.read_exact(&mut said).unwrap();
            stream.write_all(&said).unwrap();
            seen
        });
        (port, asked)
    }

    #[test]
    fn what_goes_in_comes_out_at_the_host() {
        let cases: [(Option<(&str, &str)>, &[u8]); 2] = [
            (None, b"\x05\x01\x00\x05\x01\x00\x03\x08git.host\x00\x16"),
            (Some(("ab", "cd")), b"\x05\x01\x02\x01\x02ab\x02cd\x05\x01\x00\x03\x08git.host\x00\x16"),
        ];
        for (user, wanted) in cases {
            let (port, asked) = proxy(wanted);
            let address = format!("socks5://127.0.0.1:{port}");
            let proxy = Proxy {
                address,
                username: user.map(|(user, _)| user.to_owned()),
                password: user.map(|(_, password)| password.to_owned()),
            };
            let door = Door::open(&proxy, "git.host", 22).unwrap();
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, door.port())).unwrap();
            stream.write_all(b"hello").unwrap();
            let mut back = [0; 5];
            stream.read_exact(&mut back).unwrap();
            assert_eq!(&back, b"hello");
            assert_eq!(asked.join().unwrap(), wanted);
        }
        let http = Proxy { address: "http://127.0.0.1:1".into(), username: None, password: None };
        assert!(Door::open(&http, "git.host", 22).is_err());
    }
}
