package sparkproxy;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/** A frame that is being written; big-endian, as docs/agent-link.md says. */
final class Frame {
  // To the dispatcher or worker.
  static final int HELLO = 1;
  static final int EXECUTOR = 2;
  static final int TASKS = 3;
  static final int KILL = 4;
  static final int CHOOSE = 5;
  static final int EVENT = 6;
  static final int STATUS = 7;
  static final int PONG = 8;
  // From it.
  static final int CHALLENGE = 32;
  static final int WELCOME = 33;
  static final int MODE = 34;
  static final int GO = 35;
  static final int CHOICE = 36;
  static final int FALLBACK = 37;
  static final int STOP = 38;
  static final int PING = 39;
  static final int KILL_TASK = 40;
  static final int RUN = 41;
  static final int REFUSED = 42;
  static final int OFFER = 43;

  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream(256);

  Frame(int type) {
    u8(type);
  }

  Frame u8(int value) {
    bytes.write(value);
    return this;
  }

  Frame u32(int value) {
    return raw(new byte[] {(byte) (value >>> 24), (byte) (value >>> 16), (byte) (value >>> 8), (byte) value});
  }

  Frame u64(long value) {
    return u32((int) (value >>> 32)).u32((int) value);
  }

  Frame string(Object value) {
    byte[] text = String.valueOf(value).getBytes(StandardCharsets.UTF_8);
    return u32(text.length).raw(text);
  }

  Frame blob(ByteBuffer value) {
    ByteBuffer view = value.duplicate();
    byte[] content = new byte[view.remaining()];
    view.get(content);
    return u32(content.length).raw(content);
  }

  Frame map(Map<String, String> map) {
    u32(map.size());
    map.forEach((name, value) -> string(name).string(value));
    return this;
  }

  Frame raw(byte[] value) {
    bytes.write(value, 0, value.length);
    return this;
  }

  byte[] toBytes() {
    return bytes.toByteArray();
  }

  static String readString(ByteBuffer in) {
    return new String(readBlob(in), StandardCharsets.UTF_8);
  }

  static byte[] readBlob(ByteBuffer in) {
    int length = in.getInt();
    if (length < 0 || length > in.remaining()) throw new IllegalArgumentException("a frame names " + length + " bytes and has " + in.remaining());
    byte[] content = new byte[length];
    in.get(content);
    return content;
  }

  static Map<String, String> readMap(ByteBuffer in) {
    Map<String, String> map = new LinkedHashMap<>();
    for (int left = in.getInt(); left > 0; left--) map.put(readString(in), readString(in));
    return map;
  }
}
