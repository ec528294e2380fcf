//! A wire to a server that can be cut.

use std::net::SocketAddr;

use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes connections on while it is up; cut, it ends them, and new ones as soon as they have got its greeting.
pub(super) struct Relay {
    pub(super) address: SocketAddr,
    up: watch::Sender<bool>,
}

impl Relay {
    pub(super) async fn to(server: SocketAddr) -> Self {
        Self::with(server, true, b"").await
    }

    /// One that is cut, and says this to whoever comes.
    pub(super) async fn greeting(server: SocketAddr, greeting: &'static [u8]) -> Self {
        Self::with(server, false, greeting).await
    }

    async fn with(server: SocketAddr, up: bool, greeting: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (up, told) = watch::channel(up);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut told = told.clone();
                tokio::spawn(async move {
                    if *told.borrow() {
                        let Ok(mut far) = TcpStream::connect(server).await else { return };
                        tokio::select! {
                            _ = copy_bidirectional(&mut near, &mut far) => {}
                            _ = told.wait_for(|up| !*up) => {}
                        }
                    } else {
                        drop(near.write_all(greeting).await);
                    }
                });
            }
        });
        Self { address, up }
    }

    pub(super) fn cut(&self) {
        self.up.send_replace(false);
    }

    pub(super) fn mend(&self) {
        self.up.send_replace(true);
    }
}
