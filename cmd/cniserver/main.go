// Command woven-cniserver runs on every node. It keeps ovn0, the routes, the NAT rules and mirror0 in sync with the
// cluster, and serves the CNI plugin.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

// version is set by the linker.
var version = "dev"

func main() {
	if err := command().ExecuteContext(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintln(os.Stderr, "woven-cniserver:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	o := defaults()
	c := &cobra.Command{
		Use:   "woven-cniserver",
		Short: "Connects this node and its pods to the cluster's network",
		Long: `woven-cniserver runs on every node. It plugs the host into the join subnet (ovn0),
keeps routes, source NAT and the traffic mirror in sync, and serves the
CNI plugin woven-cni on a unix socket. On one address it serves /metrics,
/healthz and /readyz; it is ready when the join gateway answers and the socket
is served. It stays up while the API server or Open vSwitch cannot be reached.`,
		Version:       version,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	o.bind(c.Flags())
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := o.complete(os.Getenv("NODE_NAME")); err != nil {
			return err
		}
		encoder := zap.ConsoleEncoder()
		if o.logJSON {
			encoder = zap.JSONEncoder()
		}
		// An error is a message for operators: it names its cause, and the stack says nothing more.
		log := zap.New(encoder, zap.Level(o.level()), zap.StacktraceLevel(zapcore.DPanicLevel))
		ctrl.SetLogger(log)
		klog.SetLogger(log.WithName("client"))
		log.Info("woven-cniserver", "version", version, "node", o.nodeName)
		return run(c.Context(), o, log)
	}
	return c
}
