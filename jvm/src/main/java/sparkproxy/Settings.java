package sparkproxy;

import java.io.*;
import java.net.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.security.GeneralSecurityException;
import java.util.*;
import java.util.regex.*;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.apache.spark.SparkConf;

/**
 * Settings of the driver's agent, first found: agent arguments ({@code k=v;k=v}), Spark conf, environment
 * ({@code SPARK_PROXY_*}), {@code common.properties} in the Spark conf dir or HADOOP_CONF_DIR. And where the dispatcher is.
 */
final class Settings {
  private static final Pattern ADDRESS = Pattern.compile("\"address\"\\s*:\\s*\"([^\"]+)\"");
  private static final int MAX_REPLY = 65_536;
  private static final Properties ARGUMENTS = new Properties();

  private final SparkConf conf;
  private final Properties file = new Properties();

  Settings(SparkConf conf) {
    this.conf = conf;
    String sparkHome = System.getenv("SPARK_HOME");
    String[] directories = {
      System.getenv("EXTERNAL_SPARK_CONF_DIR"), System.getenv("SPARK_CONF_DIR"), sparkHome == null ? null : sparkHome + "/conf", System.getenv("HADOOP_CONF_DIR"), "."
    };
    for (String directory : directories) {
      if (directory == null || !Files.isReadable(Path.of(directory, "common.properties"))) continue;
      try (InputStream in = Files.newInputStream(Path.of(directory, "common.properties"))) {
        file.load(in);
      } catch (IOException | IllegalArgumentException e) {
        Log.warn("common.properties in " + directory + " cannot be read: " + e.getMessage());
      }
      return;
    }
  }

  static void agentArguments(String arguments) {
    if (arguments == null) return;
    for (String pair : arguments.split(";")) {
      int at = pair.indexOf('=');
      if (at > 0) ARGUMENTS.setProperty(pair.substring(0, at).trim(), pair.substring(at + 1).trim());
    }
  }

  /** A setting by its name, such as {@code redis.host}; Spark conf may hold it as {@code spark.proxy.redis.host}. */
  String get(String name, String fallback) {
    String sparkName = name.startsWith("spark.") ? name : "spark.proxy." + name;
    String value = ARGUMENTS.getProperty(name, ARGUMENTS.getProperty(sparkName));
    if (value == null) value = conf.get(sparkName, null);
    if (value == null) value = System.getenv((name.startsWith("spark.proxy.") ? name : "spark.proxy." + name).toUpperCase(java.util.Locale.ROOT).replace('.', '_'));
    if (value == null) value = file.getProperty(name, file.getProperty(sparkName));
    return value == null ? fallback : value;
  }

  /** The key of the link, or null: from the first line {@code id: base64} of SPARK_PROXY_KEY or the key file, by HKDF-SHA256 (RFC 5869). */
  byte[] key() {
    String text = get("key", null);
    String path = get("key.file", null);
    try {
      if (text == null && path != null) text = Files.readString(Path.of(path));
      String line = text == null ? null : text.lines().map(one -> one.replaceFirst("#.*", "").strip()).filter(one -> !one.isEmpty()).findFirst().orElse(null);
      if (line == null) return null;
      byte[] secret = Base64.getDecoder().decode(line.substring(line.indexOf(':') + 1).strip());
      byte[] info = "spark-proxy link 1\u0001".getBytes(StandardCharsets.UTF_8);
      return hmac(hmac(new byte[32], secret), info);
    } catch (IOException | GeneralSecurityException | IllegalArgumentException e) {
      throw new IllegalStateException("the key of spark.proxy.key.file cannot be used: " + e.getMessage());
    }
  }

  private static byte[] hmac(byte[] key, byte[] text) throws GeneralSecurityException {
    Mac mac = Mac.getInstance("HmacSHA256");
    mac.init(new SecretKeySpec(key, "HmacSHA256"));
    return mac.doFinal(text);
  }

  /** The dispatcher's agent port, or null if nobody names one now. */
  InetSocketAddress dispatcher() {
    String direct = get("spark.proxy.dispatcher", null);
    if (direct != null) return address(direct);
    String host = get("redis.host", null);
    if (host == null) return null;
    String key = "spark-proxy:" + get("registry.cluster", "default") + ":dispatcher";
    try (Socket socket = new Socket()) {
      socket.connect(new InetSocketAddress(host, Integer.parseInt(get("redis.port", "6379").strip())), 3000);
      socket.setSoTimeout(3000);
      String password = get("redis.password", null);
      if (password != null && !password.isEmpty()) ask(socket, "AUTH", password);
      String reply = ask(socket, "GET", key);
      Matcher found = ADDRESS.matcher(reply == null ? "" : reply);
      return found.find() ? address(found.group(1)) : null;
    } catch (IOException | NumberFormatException e) {
      throw new IllegalStateException("the register center at " + host + ": " + e.getMessage());
    }
  }

  static InetSocketAddress address(String text) {
    int colon = text.lastIndexOf(':');
    if (colon <= 0) throw new IllegalArgumentException("expected host:port, not " + text);
    return new InetSocketAddress(text.substring(0, colon), Integer.parseInt(text.substring(colon + 1).strip()));
  }

  /** One command of RESP; a bulk or simple string, or null. */
  private static String ask(Socket socket, String... words) throws IOException {
    StringBuilder command = new StringBuilder("*" + words.length + "\r\n");
    for (String word : words) command.append('$').append(word.getBytes(StandardCharsets.UTF_8).length).append("\r\n").append(word).append("\r\n");
    socket.getOutputStream().write(command.toString().getBytes(StandardCharsets.UTF_8));
    InputStream in = socket.getInputStream();
    String line = readLine(in);
    if (line.startsWith("-")) throw new IOException(line.substring(1));
    if (!line.startsWith("$")) return line.substring(1);
    int length = Integer.parseInt(line.substring(1));
    if (length < 0) return null;
    if (length > MAX_REPLY) throw new IOException("a reply of " + length + " bytes");
    return new String(in.readNBytes(length + 2), 0, length, StandardCharsets.UTF_8);
  }

  private static String readLine(InputStream in) throws IOException {
    ByteArrayOutputStream line = new ByteArrayOutputStream();
    for (int c = in.read(); c != '\n'; c = in.read()) {
      if (c < 0 || line.size() > MAX_REPLY) throw new IOException("not a RESP reply");
      if (c != '\r') line.write(c);
    }
    if (line.size() == 0) throw new IOException("an empty RESP reply");
    return line.toString(StandardCharsets.UTF_8);
  }
}
