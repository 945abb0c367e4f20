//! A client that writes its frames itself, against the real server on a real socket.

use std::sync::Arc;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::*;
use crate::testing::{PATIENCE, everything};
use crate::{Listener, Options, Server};

const PATH: &[u8] = b"/tmp/mmesh/grpc.sock";
/// `/tmp/mmesh/grpc.sock` in HPACK's Huffman code.
const CODED_PATH: &[u8] = &[0x61, 0x34, 0xd6, 0xc5, 0x34, 0x95, 0x13, 0xb1, 0x35, 0x95, 0x91, 0x74, 0x1c, 0x9d, 0x7f];
/// `:method: GET`, `:scheme: http` and `:path: /v2/health/live`.
const GET: &[u8] = b"\x82\x86\x04\x0f/v2/health/live";
/// HPACK's `:status: 200`.
const OK: u8 = 0x88;
const RST_STREAM: u8 = 3;
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const END_STREAM: u8 = 1;

struct Client<S> {
    stream: S,
    /// Of the last request.
    id: u32,
}

/// What came of a request.
#[derive(Debug, Eq, PartialEq)]
enum Came {
    Ok,
    Reset,
}

// === impl Client ===

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn new(mut stream: S) -> Self {
        stream.write_all(&[PREFACE, SETTINGS].concat()).await.unwrap();
        Self { stream, id: 0 }
    }

    /// Sends the block in one frame.
    async fn ask(&mut self, block: &[u8]) -> Came {
        let id = self.next_id();
        self.stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, id, block)).await.unwrap();
        self.answer(id).await
    }

    fn next_id(&mut self) -> u32 {
        self.id = if self.id == 0 { 1 } else { self.id + 2 };
        self.id
    }

    async fn answer(&mut self, id: u32) -> Came {
        tokio::time::timeout(PATIENCE, async {
            loop {
                let mut head = [0; HEAD];
                self.stream.read_exact(&mut head).await.unwrap();
                let [a, b, c, kind, _, stream @ ..] = head;
                let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
                self.stream.read_exact(&mut payload).await.unwrap();
                match kind {
                    HEADERS if u32::from_be_bytes(stream) == id => {
                        assert_eq!(payload.first(), Some(&OK));
                        return Came::Ok;
                    }
                    RST_STREAM if u32::from_be_bytes(stream) == id => return Came::Reset,
                    7 => panic!("the connection is ended: {payload:?}"),
                    _ => {}
                }
            }
        })
        .await
        .unwrap()
    }
}

fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length, [kind, flags].as_slice(), &id.to_be_bytes(), payload].concat()
}

/// The fields of a request with this one more.
fn get_with(field: &[&[u8]]) -> Vec<u8> {
    [GET, &field.concat()].concat()
}

/// HPACK's length of a string.
fn length(length: usize) -> Vec<u8> {
    if length < 127 {
        return vec![u8::try_from(length).unwrap()];
    }
    let rest = length - 127;
    vec![127, 0x80 | u8::try_from(rest % 128).unwrap(), u8::try_from(rest / 128).unwrap()]
}

fn serve(listener: impl Into<Listener>) -> JoinHandle<io::Result<()>> {
    let server = Server::new(Arc::new(everything()), &Options::default()).unwrap();
    tokio::spawn(server.serve([listener.into()], std::future::pending()))
}

/// A client of a server that listens on a socket; the folder has the socket.
async fn over_socket() -> (Client<UnixStream>, TempDir) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("socket");
    serve(UnixListener::bind(&path).unwrap());
    (Client::new(UnixStream::connect(&path).await.unwrap()).await, folder)
}

#[tokio::test]
async fn a_path_is_refused_over_a_port_and_answered_over_a_socket() {
    let field = get_with(&[b"\x01\x14", PATH]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    serve(listener);
    let mut client = Client::new(TcpStream::connect(address).await.unwrap()).await;
    assert_eq!(client.ask(&field).await, Came::Reset);
    assert_eq!(client.ask(&get_with(&[b"\x01\x09localhost"])).await, Came::Ok);

    let (mut client, _folder) = over_socket().await;
    assert_eq!(client.ask(&field).await, Came::Ok);
    assert_eq!(client.ask(&get_with(&[b"\x01\x09localhost"])).await, Came::Ok);
    assert_eq!(client.ask(GET).await, Came::Ok);
}

#[tokio::test]
async fn every_way_to_write_the_field_is_understood() {
    let (mut client, _folder) = over_socket().await;
    for value in [[b"\x14", PATH].concat(), [b"\x8f", CODED_PATH].concat()] {
        // Indexed, not indexed, never indexed; the name by its index, as text, in Huffman code.
        for kind in [0x40, 0x00, 0x10] {
            assert_eq!(client.ask(&get_with(&[&[kind | 1], &value])).await, Came::Ok);
            assert_eq!(client.ask(&get_with(&[&[kind], b"\x0a", NAME, &value])).await, Came::Ok);
            assert_eq!(client.ask(&get_with(&[&[kind], b"\x88", CODED_NAME, &value])).await, Came::Ok);
        }
    }
}

#[tokio::test]
async fn the_next_requests_refer_to_the_first() {
    let (mut client, _folder) = over_socket().await;
    // As gRPC for Java does: the first request puts it into the dynamic table, the others name its place.
    assert_eq!(client.ask(&get_with(&[b"\x41\x14", PATH])).await, Came::Ok);
    for _ in 0..3 {
        assert_eq!(client.ask(&get_with(&[b"\xbe"])).await, Came::Ok);
    }
}

#[tokio::test]
async fn places_in_the_table_mean_the_same_after_entries_have_left_it() {
    for large in [4000, 4050, 4100] {
        let (mut client, _folder) = over_socket().await;
        // The client's table has 4096 bytes. An authority of 4000 leaves it for the next entry, of 4100 it never is in it
        // and empties it.
        let authority = [vec![0x41], length(large), vec![b'/'; large]].concat();
        assert_eq!(client.ask(&get_with(&[b"\x41\x14", PATH])).await, Came::Ok);
        assert_eq!(client.ask(&get_with(&[&authority])).await, Came::Ok);
        assert_eq!(client.ask(&get_with(&[b"\x41\x15", PATH, b"2"])).await, Came::Ok);
        // `te: trailers` is the newest entry then, and the one before it the authority.
        assert_eq!(client.ask(&get_with(&[b"\x40\x02te\x08trailers"])).await, Came::Ok);
        assert_eq!(client.ask(&get_with(&[b"\xbf\xbe"])).await, Came::Ok);
        // Its size is changed, and with that it is emptied.
        assert_eq!(client.ask(&[b"\x20\x3f\xe1\x1f", GET, b"\x41\x14", PATH].concat()).await, Came::Ok);
        assert_eq!(client.ask(&get_with(&[b"\xbe"])).await, Came::Ok);
    }
}

#[tokio::test]
async fn a_block_may_come_in_any_frames_and_pieces() {
    let (mut client, _folder) = over_socket().await;
    let block = get_with(&[b"\x01\x14", PATH]);
    for cut in 0..=block.len() {
        let (first, second) = block.split_at(cut);
        let id = client.next_id();
        // Padding of three bytes, no dependency, a weight.
        let payload = [b"\x03\x00\x00\x00\x00\x10", first, b"\x00\x00\x00"].concat();
        let frames = [
            frame(HEADERS, END_STREAM | PADDED | PRIORITY, id, &payload),
            frame(CONTINUATION, 0, id, b""),
            frame(CONTINUATION, END_HEADERS, id, second),
        ];
        for piece in frames.concat().chunks(cut + 1) {
            client.stream.write_all(piece).await.unwrap();
        }
        assert_eq!(client.answer(id).await, Came::Ok, "cut at {cut}");
    }
}

/// What is read of these bytes, sent in pieces of this size.
fn read(bytes: &[u8], size: usize) -> Vec<u8> {
    let (mut read, mut ready) = (AnyAuthority::new(()), BytesMut::new());
    for piece in bytes.chunks(size) {
        read.overwriter.take(piece, &mut ready);
    }
    ready.to_vec()
}

#[test]
fn what_has_no_authority_in_it_is_read_as_it_came() {
    let data = frame(0, END_STREAM, 1, &[7; 40_000]);
    let trailers = frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x40\x01a\x01b");
    let empty = frame(HEADERS, END_HEADERS, 3, b"");
    // No block: an integer and a string that do not end.
    let broken = frame(HEADERS, END_HEADERS, 5, b"\xff\xff\xff\xff\xff\xff\x01\x7f");
    let interrupted = [frame(HEADERS, 0, 7, b"\x01"), frame(0, 0, 1, b"a"), vec![9; 1000]].concat();
    let http2 = [PREFACE, SETTINGS, &data, &trailers, &empty, &broken, &interrupted].concat();
    let long =
        [PREFACE, &frame(HEADERS, 0, 1, &[0x82; 100_000]), &[0, 0, 0, CONTINUATION, 0, 0, 0, 0, 1].repeat(40_000)];
    for bytes in [http2, long.concat(), b"GET / HTTP/1.1\r\n\r\n".to_vec(), b"PRI * HTTP/2.0\r\n\r\nother".to_vec()] {
        for size in [1, 2, 9, 1000, usize::MAX] {
            assert!(read(&bytes, size) == bytes, "in pieces of {size}: {:?}", bytes.get(..40));
        }
    }
}

#[test]
fn a_block_that_needs_several_frames_still_does() {
    let value = [0x00, 0x01, b'a', 0x7f, 0xa1, 0x9b, 0x01].iter().copied().chain([b'v'; 20_000]).collect::<Vec<u8>>();
    let block = get_with(&[b"\x01\x14", PATH, &value]);
    let (first, second) = block.split_at(16_000);
    let came = [PREFACE, &frame(HEADERS, 0, 1, first), &frame(CONTINUATION, END_HEADERS, 1, second)].concat();
    let expected = get_with(&[b"\x01\x01u", &value]);
    let (first, second) = expected.split_at(PAYLOAD);
    let expected = [PREFACE, &frame(HEADERS, 0, 1, first), &frame(CONTINUATION, END_HEADERS, 1, second)].concat();
    assert!(read(&came, 100) == expected);
}
