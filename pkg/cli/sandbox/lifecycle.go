// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/wovensdn/woven/pkg/sandbox"
)

func upCommand(o *options) *cobra.Command {
	choice := sandbox.Options{}
	proxy, mode := false, sandbox.KubeProxyNftables
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Build what is missing and start a sandbox",
		Long: `Build what is missing and start a sandbox: etcd, the Kubernetes control plane, OVN's databases, and nodes with
containerd, kubelet, Open vSwitch and ovn-controller. What an interrupted "up" left behind is removed first.

Without --dev no CNI is installed, so that the nodes stay NotReady. With --dev Woven's own programs, which must lie next to
this one, run in the sandbox; "restart" starts newly built ones.`,
		Example: `  woven-sandbox up --nodes 2 --dev
  woven-sandbox up --nodes 3 --dual-stack --name other`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			home, err := o.home()
			if err != nil {
				return err
			}
			choice.Name, choice.KubeProxy = o.name, mode
			if !proxy {
				choice.KubeProxy = sandbox.KubeProxyNone
			}
			cluster, err := sandbox.Up(cmd.Context(), home, choice, o.progress(), time.Now)
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "KUBECONFIG (inside the sandbox's network; `woven-sandbox kubectl` uses it from here): %s\n", cluster.Kubeconfig())
			return nil
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&choice.Nodes, "nodes", 2, "Number of nodes.")
	flags.BoolVar(&choice.DualStack, "dual-stack", false, "IPv4 and IPv6 for nodes, pods and Services.")
	flags.BoolVar(&choice.Dev, "dev", false, "Run Woven's own programs: woven-controller, woven-cniserver and woven-cni from the directory of this program.")
	flags.BoolVar(&choice.DNS, "dns", true, "Run CoreDNS (with --dev).")
	flags.BoolVar(&choice.OVNDNS, "ovn-dns", false, "OVN answers DNS queries for the names of Services (with --dev).")
	flags.BoolVar(&proxy, "kube-proxy", false, "Run kube-proxy on the nodes, for clusters without --dev.")
	flags.StringVar(&mode, "kube-proxy-mode", mode, "Mode of kube-proxy: nftables or iptables.")
	flags.StringVar(&choice.Source, "source", "", "Root of Woven's source tree; empty: searched for above this program and above the working directory.")
	return cmd
}

func downCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Tear down a sandbox and remove everything it created; finished builds stay cached",
		Example: `  woven-sandbox down
  woven-sandbox down --name other`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			home, err := o.home()
			if err != nil {
				return err
			}
			return sandbox.Down(cmd.Context(), home, o.name, o.progress())
		},
	}
}

func statusCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Show the sandboxes, and every service of the one called --name",
		Example: "  woven-sandbox status",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			home, err := o.home()
			if err != nil {
				return err
			}
			names, err := sandbox.List(home)
			if err != nil {
				return err
			}
			out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
			for _, name := range names {
				state := "running"
				if _, err := sandbox.Open(home, name); err != nil {
					state = "not running"
				}
				_, _ = fmt.Fprintf(out, "sandbox %s\t%s\n", name, state)
			}
			_ = out.Flush()
			cluster, err := sandbox.Open(home, o.name)
			if err != nil {
				return err
			}
			return printServices(cmd, cluster)
		},
	}
}

func printServices(cmd *cobra.Command, cluster *sandbox.Cluster) error {
	out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintf(out, "\nWHERE\tSERVICE\tREADY\tPID\tSTARTS\tNOTE\n")
	for node := 0; node <= cluster.Nodes(); node++ {
		where := "control"
		if node > 0 {
			where = sandbox.NodeName(node)
		}
		status, err := cluster.Status(node)
		if err != nil {
			return err
		}
		for _, name := range status.Names() {
			service, pid := status.Services[name], "-"
			if found, err := cluster.PID(name, node); err == nil {
				pid = fmt.Sprint(found)
			}
			_, _ = fmt.Fprintf(out, "%s\t%s\t%t\t%s\t%d\t%s\n", where, name, service.Ready, pid, service.Starts, service.Note)
		}
	}
	_, _ = fmt.Fprintf(out, "\nlogs: %s\n", cluster.LogFile("<service>", 1))
	if err := out.Flush(); err != nil {
		return fmt.Errorf("print the services: %w", err)
	}
	return nil
}

func demoCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "demo",
		Short:   "Connect two pods on different nodes, and show what to try next",
		Example: "  woven-sandbox demo",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster, err := o.open()
			if err != nil {
				return err
			}
			return cluster.Demo(cmd.Context(), os.Stdout)
		},
	}
}
