package sparkproxy;

import java.io.*;
import java.net.*;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.*;
import java.util.*;
import java.util.function.Supplier;
import javax.crypto.*;
import javax.crypto.spec.*;

/**
 * One framed TCP connection, opened again when it breaks. Frames are written by a thread of its own, all that wait in one
 * write, so that no thread of Spark waits for a socket. With a key, both sides prove it and every frame is signed.
 */
final class Link {
  interface Handler {
    /** What this side says of itself first. */
    Map<String, String> hello();

    void up(Map<String, String> welcome);

    void received(int type, ByteBuffer body);

    /** After {@link #up}: the connection is gone. What was sent may or may not have arrived. */
    void down();
  }

  private static final byte[] MAGIC = {'S', 'P', 'X', 'L'};
  private static final int VERSION = 2;
  private static final int NONCE = 16;
  private static final int MAC_BYTES = 16;
  private static final int MAX_FRAME = 192 << 20;
  /** Frames waiting beyond this close the link: what it carries is done Spark's own way. */
  private static final long MAX_WAITING = 256L << 20;
  /** The other side pings every 2 s. */
  private static final int SILENCE_MS = 10_000;
  private static final int RETRY_MS = 500;
  /** So long may wait what nobody waits for. */
  private static final int SOON_MS = 10;

  private final Supplier<InetSocketAddress> address;
  private final Handler handler;
  private final Supplier<byte[]> keys;
  private byte[] key;
  private final boolean reconnect;
  private List<ByteBuffer> queue = new ArrayList<>();
  private final Object lock = new Object();
  private long waiting;
  private boolean urgent;
  private boolean writing;
  private volatile Socket socket;
  private volatile boolean up;
  private volatile boolean closed;

  Link(Supplier<InetSocketAddress> address, Handler handler, Supplier<byte[]> keys, boolean reconnect) {
    this.address = address;
    this.handler = handler;
    this.keys = keys;
    this.reconnect = reconnect;
  }

  void start() {
    Thread thread = new Thread(this::run, "spark-proxy-link");
    thread.setDaemon(true);
    thread.start();
  }

  boolean isUp() {
    return up;
  }

  /** False: the link is down and the frame was not taken. */
  boolean send(Frame frame) {
    return add(frame, true);
  }

  /** As {@link #send}, for what may wait a moment, so that many leave in one write. */
  boolean sendSoon(Frame frame) {
    return add(frame, false);
  }

  private boolean add(Frame frame, boolean now) {
    ByteBuffer body = frame.body();
    synchronized (lock) {
      if (!up) return false;
      if (waiting + body.remaining() > MAX_WAITING) {
        Log.warn("the dispatcher does not read; the link is closed");
        closeSocket();
        return false;
      }
      queue.add(body);
      waiting += body.remaining();
      boolean wake = queue.size() == 1 || now && !urgent;
      urgent |= now;
      if (wake) lock.notifyAll();
    }
    return true;
  }

  /** Writes what waits (a little while), then closes for good. */
  void close() {
    long until = System.nanoTime() + 1_000_000_000L;
    synchronized (lock) {
      closed = true;
      urgent = true;
      lock.notifyAll();
      while (up && (writing || !queue.isEmpty()) && System.nanoTime() < until) {
        try {
          lock.wait(20);
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
          break;
        }
      }
    }
    closeSocket();
  }

  private void closeSocket() {
    Socket open = socket;
    if (open == null) return;
    try {
      open.close();
    } catch (IOException e) {
      Log.debug("closing: " + e);
    }
  }

  private void run() {
    String said = "";
    while (!closed) {
      try {
        InetSocketAddress to = address.get();
        if (to == null) throw new IOException("no dispatcher is known");
        serve(to);
        said = "";
      } catch (IOException | GeneralSecurityException | RuntimeException e) {
        String message = "the link: " + e.getMessage();
        if (!closed && !message.equals(said)) Log.debug(said = message);
      } catch (LinkageError e) {
        Log.warn("this version of Spark is not supported; nothing is re-routed: " + e);
        closed = true;
      }
      if (!reconnect) {
        handler.down();
        return;
      }
      try {
        if (!closed) Thread.sleep(RETRY_MS);
      } catch (InterruptedException e) {
        return;
      }
    }
  }

  private void serve(InetSocketAddress to) throws IOException, GeneralSecurityException {
    boolean told = false;
    key = keys.get();
    try (Socket open = new Socket()) {
      open.setTcpNoDelay(true);
      open.setSoTimeout(SILENCE_MS);
      open.connect(to, 3000);
      socket = open;
      DataInputStream in = new DataInputStream(new java.io.BufferedInputStream(open.getInputStream(), 65_536));
      DataOutputStream out = new DataOutputStream(new BufferedOutputStream(open.getOutputStream(), 65_536));
      ByteBuffer challenge = read(in, null);
      byte[] theirs = new byte[NONCE];
      byte[] magic = new byte[MAGIC.length];
      if (challenge.get() != Frame.CHALLENGE) throw new IOException("it does not speak the agent link");
      challenge.get(magic);
      if (!Arrays.equals(magic, MAGIC) || challenge.get() != VERSION) throw new IOException("it speaks another version of the agent link");
      boolean keyed = challenge.get() != 0;
      challenge.get(theirs);
      if (keyed != (key != null)) throw new IOException(keyed ? "it asks for a key (SPARK_PROXY_KEY_FILE)" : "it has no key, and one is configured here");
      byte[] ours = new byte[NONCE];
      new SecureRandom().nextBytes(ours);
      Signer outgoing = keyed ? new Signer(key, theirs, ours, "c") : null;
      Signer incoming = keyed ? new Signer(key, theirs, ours, "s") : null;
      Map<String, String> hello = handler.hello();
      String secret = hello.remove("authSecret");
      if (secret != null && keyed) hello.put("sealed.authSecret", seal(secret, theirs, ours));
      write(out, new Frame(Frame.HELLO).raw(ByteBuffer.wrap(ours)).map(hello).body(), outgoing);
      out.flush();
      ByteBuffer welcome = read(in, incoming);
      if (welcome.get() != Frame.WELCOME) throw new IOException("it refused: " + Frame.readString(welcome));
      synchronized (lock) {
        queue.clear();
        waiting = 0;
        up = true;
      }
      Thread writer = new Thread(() -> writeAll(out, outgoing, open), "spark-proxy-link-writer");
      writer.setDaemon(true);
      writer.start();
      told = true;
      handler.up(Frame.readMap(welcome));
      while (true) {
        ByteBuffer body = read(in, incoming);
        int type = body.get();
        if (type == Frame.PING) sendSoon(new Frame(Frame.PONG));
        else handler.received(type, body);
      }
    } finally {
      synchronized (lock) {
        up = false;
        lock.notifyAll();
      }
      if (told && reconnect) handler.down();
    }
  }

  private void writeAll(DataOutputStream out, Signer signer, Socket open) {
    try {
      for (List<ByteBuffer> batch = take(open); batch != null; batch = take(open)) {
        for (ByteBuffer body : batch) write(out, body, signer);
        out.flush();
      }
    } catch (IOException | GeneralSecurityException | InterruptedException e) {
      Log.debug("writing: " + e);
      closeSocket();
    }
  }

  /** All that waits, as soon as somebody waits for some of it. Null: the connection is gone. */
  private List<ByteBuffer> take(Socket open) throws InterruptedException {
    synchronized (lock) {
      writing = false;
      if (closed) lock.notifyAll();
      while (queue.isEmpty() && up && socket == open) lock.wait();
      long until = System.nanoTime() + SOON_MS * 1_000_000L;
      for (long left = SOON_MS; !urgent && left > 0 && up && socket == open; left = (until - System.nanoTime()) / 1_000_000) lock.wait(left);
      if (!up || socket != open) return null;
      List<ByteBuffer> batch = queue;
      queue = new ArrayList<>();
      waiting = 0;
      urgent = false;
      writing = true;
      return batch;
    }
  }

  private static void write(DataOutputStream out, ByteBuffer body, Signer signer) throws IOException, GeneralSecurityException {
    out.writeInt(body.remaining() + (signer == null ? 0 : MAC_BYTES));
    out.write(body.array(), 0, body.limit());
    if (signer != null) out.write(signer.sign(body.array(), 0, body.limit()));
  }

  private static ByteBuffer read(DataInputStream in, Signer signer) throws IOException, GeneralSecurityException {
    int length = in.readInt();
    if (length < 1 || length > MAX_FRAME) throw new IOException("a frame of " + length + " bytes");
    byte[] body = in.readNBytes(length);
    if (body.length < length) throw new IOException("the other side closed it");
    if (signer == null) return ByteBuffer.wrap(body);
    int end = length - MAC_BYTES;
    if (end < 1 || !MessageDigest.isEqual(signer.sign(body, 0, end), Arrays.copyOfRange(body, end, length))) throw new IOException("a frame is not signed with our key");
    return ByteBuffer.wrap(body, 0, end);
  }

  /** A secret never travels in the clear: AES-256-GCM under a key of this connection; iv before, tag behind, base64. */
  private String seal(String secret, byte[] theirs, byte[] ours) throws GeneralSecurityException {
    byte[] iv = new byte[12];
    new SecureRandom().nextBytes(iv);
    Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
    cipher.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(derive(key, "secret", theirs, ours), "AES"), new GCMParameterSpec(128, iv));
    byte[] sealed = cipher.doFinal(secret.getBytes(StandardCharsets.UTF_8));
    return Base64.getEncoder().encodeToString(ByteBuffer.allocate(iv.length + sealed.length).put(iv).put(sealed).array());
  }

  private static byte[] derive(byte[] key, String purpose, byte[] theirs, byte[] ours) throws GeneralSecurityException {
    Mac mac = Mac.getInstance("HmacSHA256");
    mac.init(new SecretKeySpec(key, "HmacSHA256"));
    mac.update(("spark-proxy agent link " + purpose).getBytes(StandardCharsets.US_ASCII));
    mac.update(theirs);
    return mac.doFinal(ours);
  }

  /** HMAC-SHA256 over a counter and the frame, cut to 16 bytes, under a key of this connection and direction. */
  private static final class Signer {
    private final Mac mac = Mac.getInstance("HmacSHA256");
    private long counter;

    Signer(byte[] key, byte[] theirs, byte[] ours, String direction) throws GeneralSecurityException {
      mac.init(new SecretKeySpec(derive(key, direction, theirs, ours), "HmacSHA256"));
    }

    byte[] sign(byte[] body, int from, int length) {
      mac.update(ByteBuffer.allocate(8).putLong(0, counter++));
      mac.update(body, from, length);
      return Arrays.copyOf(mac.doFinal(), MAC_BYTES);
    }
  }
}
