package sparkproxy;

import java.io.*;
import java.net.*;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.*;
import java.util.*;
import java.util.concurrent.*;
import javax.crypto.*;
import javax.crypto.spec.*;

/**
 * One framed TCP connection, opened again when it breaks. Frames are written by a thread of its own, all that wait in one
 * write, so that no thread of Spark waits for a socket. With a key, both sides prove it and every frame is sealed with it.
 */
abstract class Link {
  /** A connection that is up. */
  private record Output(Socket socket, DataOutputStream stream, Seal seal) {}

  private static final int MAGIC = 0x5350584C;
  private static final int VERSION = 2;
  private static final int NONCE = 16;
  private static final int MAX_FRAME = 192 << 20;
  /** Frames waiting beyond this close the link: what it carries is done Spark's own way. */
  private static final long MAX_WAITING = 256L << 20;
  /** The other side pings every 2 s. */
  private static final int SILENCE_MS = 10_000;
  private static final int CONNECT_MS = 3000;
  private static final int RETRY_MS = 500;
  /** So long may wait what nobody waits for, so that many leave in one write. */
  static final int SOON_MS = 10;

  private final ScheduledExecutorService writer = Executors.newSingleThreadScheduledExecutor(work -> daemon(work, "spark-proxy-link-writer"));
  private List<ByteBuffer> queue = new ArrayList<>();
  private long waiting;
  private volatile Output output;
  /** Why it is not up. */
  volatile String problem = "";
  private volatile boolean closed;

  /** Null: nobody names it now. */
  abstract InetSocketAddress address();

  /** Null: there is none. */
  byte[] key() {
    return null;
  }

  /** What this side says of itself first. */
  abstract Map<String, String> hello();

  abstract void up(Map<String, String> welcome);

  abstract void received(int type, ByteBuffer body);

  /** The connection is gone, or there was none. What was sent may or may not have arrived. */
  abstract void down(boolean wasUp);

  void start() {
    daemon(this::run, "spark-proxy-link").start();
  }

  private static Thread daemon(Runnable work, String name) {
    Thread thread = new Thread(work, name);
    thread.setDaemon(true);
    return thread;
  }

  boolean isUp() {
    return output != null;
  }

  /** False: the link is down and the frame was not taken. */
  boolean send(Frame frame) {
    return send(frame, 0);
  }

  boolean send(Frame frame, int delayMs) {
    ByteBuffer body = frame.body();
    synchronized (writer) {
      if (output == null) return false;
      queue.add(body);
      waiting += body.remaining();
      if (waiting > MAX_WAITING) {
        Log.warn("the dispatcher does not read; the link is closed");
        disconnect();
      } else if (delayMs == 0 || queue.size() == 1) writer.schedule(this::writeAll, delayMs, TimeUnit.MILLISECONDS);
    }
    return true;
  }

  /** All that waits. */
  private void writeAll() {
    List<ByteBuffer> batch;
    Output to;
    synchronized (writer) {
      batch = queue;
      to = output;
      queue = new ArrayList<>();
      waiting = 0;
    }
    if (to == null || batch.isEmpty()) return;
    try {
      for (ByteBuffer body : batch) write(to.stream, body, to.seal);
      to.stream.flush();
    } catch (IOException | GeneralSecurityException e) {
      Log.debug("writing: " + e);
      disconnect();
    }
  }

  /** Writes what waits (a little while), then closes for good. */
  void close() {
    closed = true;
    try {
      writer.submit(this::writeAll).get(1, TimeUnit.SECONDS);
    } catch (InterruptedException | ExecutionException | TimeoutException e) {
      Log.debug("the last frames were not written: " + e);
    }
    disconnect();
    enable(null);
    writer.shutdown();
  }

  /** The thread that reads hears of it. */
  private void disconnect() {
    Output open = output;
    try {
      if (open != null) open.socket.close();
    } catch (IOException e) {
      Log.debug("closing: " + e);
    }
  }

  private void run() {
    while (!closed) {
      try {
        serve();
      } catch (IOException | GeneralSecurityException | RuntimeException e) {
        String message = e instanceof EOFException ? "the other side closed it; perhaps it has another key" : String.valueOf(e.getMessage());
        if (!message.equals(problem)) Log.debug("the link: " + message);
        problem = message;
      } catch (LinkageError e) {
        Log.warn("this version of Spark is not supported; nothing is re-routed: " + e);
        closed = true;
      }
      boolean wasUp = isUp();
      enable(null);
      down(wasUp);
      try {
        if (!closed) Thread.sleep(RETRY_MS);
      } catch (InterruptedException e) {
        return;
      }
    }
  }

  private void enable(Output made) {
    synchronized (writer) {
      queue.clear();
      waiting = 0;
      output = made;
    }
  }

  private void serve() throws IOException, GeneralSecurityException {
    InetSocketAddress to = address();
    if (to == null) throw new IOException("nobody names it: spark.proxy.dispatcher, or redis.host in common.properties");
    byte[] key = key();
    try (Socket socket = new Socket()) {
      socket.setTcpNoDelay(true);
      socket.setSoTimeout(SILENCE_MS);
      socket.connect(to, CONNECT_MS);
      DataInputStream in = new DataInputStream(new BufferedInputStream(socket.getInputStream(), 65_536));
      DataOutputStream out = new DataOutputStream(new BufferedOutputStream(socket.getOutputStream(), 65_536));
      ByteBuffer challenge = read(in, null);
      if (challenge.get() != Frame.CHALLENGE || challenge.getInt() != MAGIC) throw new IOException("it does not speak the agent link");
      if (challenge.get() != VERSION) throw new IOException("it speaks another version of the agent link: agent jar and dispatcher must be of versions that go together");
      boolean keyed = challenge.get() != 0;
      byte[] theirs = new byte[NONCE];
      challenge.get(theirs);
      if (keyed != (key != null)) throw new IOException(keyed ? "it asks for a key (SPARK_PROXY_KEY_FILE)" : "it has no key, and one is configured here");
      byte[] ours = new byte[NONCE];
      new SecureRandom().nextBytes(ours);
      Seal outgoing = keyed ? new Seal(Cipher.ENCRYPT_MODE, key, "c", theirs, ours) : null;
      Seal incoming = keyed ? new Seal(Cipher.DECRYPT_MODE, key, "s", theirs, ours) : null;
      write(out, new Frame(Frame.NONCE).raw(ByteBuffer.wrap(ours)).body(), null);
      Frame hello = new Frame(Frame.HELLO);
      hello().forEach((name, value) -> hello.string(name).string(value));
      write(out, hello.body(), outgoing);
      out.flush();
      ByteBuffer welcome = read(in, incoming);
      if (welcome.get() != Frame.WELCOME) throw new IOException("it refused: " + Frame.readString(welcome));
      enable(new Output(socket, out, outgoing));
      up(Frame.readMap(welcome));
      while (true) {
        ByteBuffer body = read(in, incoming);
        int type = body.get();
        if (type == Frame.PING) send(new Frame(Frame.PONG), SOON_MS);
        else received(type, body);
      }
    }
  }

  private static void write(DataOutputStream out, ByteBuffer body, Seal seal) throws IOException, GeneralSecurityException {
    ByteBuffer frame = seal == null ? body : seal.apply(body.array(), body.limit());
    out.writeInt(frame.limit());
    out.write(frame.array(), 0, frame.limit());
  }

  private static ByteBuffer read(DataInputStream in, Seal seal) throws IOException, GeneralSecurityException {
    int length = in.readInt();
    if (length < 1 || length > MAX_FRAME) throw new IOException("a frame of " + length + " bytes");
    byte[] frame = in.readNBytes(length);
    if (frame.length < length) throw new EOFException();
    return seal == null ? ByteBuffer.wrap(frame) : seal.apply(frame, length);
  }

  static Mac hmac(byte[] key) throws GeneralSecurityException {
    Mac mac = Mac.getInstance("HmacSHA256");
    mac.init(new SecretKeySpec(key, "HmacSHA256"));
    return mac;
  }

  /** AES-256-GCM under a key of this connection and direction, the number of the frame as its nonce. */
  private static final class Seal {
    private final Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
    private final int mode;
    private final SecretKeySpec key;
    private long frames;

    Seal(int mode, byte[] shared, String direction, byte[] theirs, byte[] ours) throws GeneralSecurityException {
      this.mode = mode;
      Mac mac = hmac(shared);
      mac.update(("spark-proxy agent link " + direction).getBytes(StandardCharsets.US_ASCII));
      mac.update(theirs);
      key = new SecretKeySpec(mac.doFinal(ours), "AES");
    }

    ByteBuffer apply(byte[] frame, int length) throws GeneralSecurityException {
      byte[] nonce = ByteBuffer.allocate(12).putLong(4, frames++).array();
      cipher.init(mode, key, new GCMParameterSpec(128, nonce));
      return ByteBuffer.wrap(cipher.doFinal(frame, 0, length));
    }
  }
}
