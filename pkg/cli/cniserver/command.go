// SPDX-License-Identifier: Apache-2.0

// Package cniserver is the command woven-cniserver: flags, configuration and wiring.
package cniserver

import (
	"os"

	"github.com/spf13/cobra"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/wovensdn/woven/pkg/cli"
	"github.com/wovensdn/woven/pkg/version"
)

// NewCommand returns the command woven-cniserver.
func NewCommand() *cobra.Command {
	o := defaults()
	c := cli.Defaults(&cobra.Command{
		Use:   "woven-cniserver",
		Short: "Connect this node and its pods to the cluster's network",
		Long: `woven-cniserver runs on every node. It connects the host to the join Subnet (ovn0), configures routes, source NAT,
NodePorts and the traffic mirror, and serves the CNI plugin woven-cni on a unix socket.

On one address it serves /metrics, /healthz and /readyz. It is ready when the join gateway responds to ping and the
socket is served. When the API server or Open vSwitch is lost it keeps running, and continues when they are back.`,
		Example: `  # In a pod of a DaemonSet, with NODE_NAME from the field spec.nodeName
  woven-cniserver

  # Outside of a pod
  woven-cniserver --kubeconfig=/etc/woven/cniserver.conf --node-name=worker-1

  # Completion of flags in bash
  source <(woven-cniserver completion bash)`,
		Args: cobra.NoArgs,
	})
	o.bind(c.Flags())
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := o.complete(os.Getenv("NODE_NAME")); err != nil {
			return err
		}
		encoder := zap.ConsoleEncoder()
		if o.logJSON {
			encoder = zap.JSONEncoder()
		}
		// Errors are messages for operators and name their cause; a stack trace adds nothing.
		log := zap.New(encoder, zap.Level(o.level()), zap.StacktraceLevel(zapcore.DPanicLevel))
		ctrl.SetLogger(log)
		klog.SetLogger(log.WithName("client"))
		log.Info("starting", "version", version.String(), "node", o.nodeName)
		return run(c.Context(), o, log)
	}
	return c
}
