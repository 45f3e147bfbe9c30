import java.io.File;
import java.io.FileOutputStream;
import java.io.OutputStream;
import org.apache.hadoop.yarn.conf.YarnConfiguration;
import org.apache.hadoop.yarn.server.MiniYARNCluster;

/** {@code MiniYarn WORK CONF}: a ResourceManager and a NodeManager on free ports; writes CONF/yarn-site.xml and core-site.xml, then says READY. */
public class MiniYarn {
  public static void main(String[] args) throws Exception {
    YarnConfiguration conf = new YarnConfiguration();
    System.setProperty("test.build.data", args[0]);
    conf.set("yarn.resourcemanager.hostname", "127.0.0.1");
    conf.set("yarn.nodemanager.hostname", "127.0.0.1");
    conf.set("fs.defaultFS", "file:///");
    conf.set("hadoop.tmp.dir", args[0] + "/hadoop");
    conf.setInt("yarn.nodemanager.resource.memory-mb", 4096);
    conf.setInt("yarn.scheduler.minimum-allocation-mb", 256);
    conf.setBoolean("yarn.nodemanager.vmem-check-enabled", false);
    conf.setBoolean("yarn.nodemanager.pmem-check-enabled", false);
    conf.setFloat("yarn.scheduler.capacity.maximum-am-resource-percent", 1.0f);
    conf.setFloat("yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage", 99.9f);
    conf.set("yarn.scheduler.capacity.root.queues", "default");
    conf.set("yarn.scheduler.capacity.root.default.capacity", "100");
    conf.setBoolean("yarn.minicluster.fixed.ports", false);
    MiniYARNCluster cluster = new MiniYARNCluster("tests", 1, 1, 1, 1);
    cluster.init(conf);
    cluster.start();
    if (!cluster.waitForNodeManagersToConnect(60_000)) throw new IllegalStateException("no NodeManager has connected");
    for (String name : new String[] {"core-site.xml", "yarn-site.xml"}) {
      try (OutputStream out = new FileOutputStream(new File(args[1], name))) {
        cluster.getConfig().writeXml(out);
      }
    }
    System.out.println("READY");
    Thread.currentThread().join();
  }
}
