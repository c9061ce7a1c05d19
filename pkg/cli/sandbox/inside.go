// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/wovensdn/woven/pkg/sandbox"
)

func (o *options) open() (*sandbox.Cluster, error) {
	home, err := o.home()
	if err != nil {
		return nil, err
	}
	return sandbox.Open(home, o.name)
}

// become replaces this process by a command: the command has the terminal, receives the signals and sets the exit
// status.
func become(argv []string, err error) error {
	if err != nil {
		return err
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return fmt.Errorf("find %s: %w", argv[0], err)
	}
	if err := syscall.Exec(path, argv, os.Environ()); err != nil { // #nosec G204 -- the caller is root
		return fmt.Errorf("run %s: %w", path, err)
	}
	return nil
}

// passing returns a command that passes all its arguments on; this program's own flags come before its name or before
// "--".
func passing(use, short, example string, run func(args []string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Example: example,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return run(args)
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// tool returns a command that passes on even arguments that begin with a dash.
func tool(use, short, example string, o *options, command func(*sandbox.Cluster, []string) ([]string, error)) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Example: example, DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			args, help, err := o.takeOwn(args)
			if err != nil {
				return err
			}
			if help {
				return cmd.Help()
			}
			cluster, err := o.open()
			if err != nil {
				return err
			}
			return become(command(cluster, args))
		},
	}
	return cmd
}

// takeOwn removes a leading --name and --help, which are this program's, from arguments that are otherwise passed on.
func (o *options) takeOwn(args []string) (rest []string, help bool, err error) {
	if len(args) > 0 && args[0] == "--name" {
		if len(args) < 2 {
			return nil, false, fmt.Errorf("flag --name: no name given")
		}
		o.name, args = args[1], args[2:]
	}
	if len(args) > 0 && (args[0] == "--help" || args[0] == "-h") {
		return args, true, nil
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	return args, false, nil
}

func kubectlCommand(o *options) *cobra.Command {
	return tool("kubectl [ARGS…]", "Run kubectl as the sandbox's administrator",
		`  woven-sandbox kubectl get pods -A -o wide
  woven-sandbox --name other kubectl get nodes`, o,
		func(c *sandbox.Cluster, args []string) ([]string, error) { return c.KubectlCommand(args...) })
}

func nbctlCommand(o *options) *cobra.Command {
	return tool("nbctl [ARGS…]", "Run ovn-nbctl on the sandbox's northbound database", "  woven-sandbox nbctl show", o,
		func(c *sandbox.Cluster, args []string) ([]string, error) { return c.NBCommand(args...) })
}

func sbctlCommand(o *options) *cobra.Command {
	return tool("sbctl [ARGS…]", "Run ovn-sbctl on the sandbox's southbound database", "  woven-sandbox sbctl show", o,
		func(c *sandbox.Cluster, args []string) ([]string, error) { return c.SBCommand(args...) })
}

func vsctlCommand(o *options) *cobra.Command {
	return tool("vsctl N [ARGS…]", "Run ovs-vsctl on node N", "  woven-sandbox vsctl 1 show", o,
		func(c *sandbox.Cluster, args []string) ([]string, error) {
			if len(args) == 0 {
				return nil, fmt.Errorf("no node given: want a number from 1 to %d", c.Nodes())
			}
			n, err := nodeNumber(args[0])
			if err != nil {
				return nil, err
			}
			return c.VSCommand(n, args[1:]...)
		})
}

func nodeCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{Use: "node", Short: "Work inside a node"}
	cmd.AddCommand(passing("exec N [--] COMMAND…", "Run a command in all namespaces of node N",
		`  woven-sandbox node exec 1 -- ip addr
  woven-sandbox node exec 2 -- tcpdump -ni mirror0
  woven-sandbox node exec 1 -- ovs-appctl dpctl/show`,
		func(args []string) error {
			n, err := nodeNumber(args[0])
			if err != nil {
				return err
			}
			cluster, err := o.open()
			if err != nil {
				return err
			}
			return become(cluster.NodeCommand(n, afterDashes(args[1:])...))
		}))
	return cmd
}

func outsideCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "outside",
		Short: "Work on the host outside the cluster",
		Long: fmt.Sprintf(`Work on the host outside the cluster: %s, in the nodes' network, without a route to pods. It replies to ping, and on port
%d to TCP and UDP with the source address of the peer.`, sandbox.OutsideAddr(false), sandbox.OutsideEchoPort),
	}
	cmd.AddCommand(passing("exec [--] COMMAND…", "Run a command on the outside host", "  woven-sandbox outside exec -- tcpdump -ni eth0",
		func(args []string) error {
			cluster, err := o.open()
			if err != nil {
				return err
			}
			return become(cluster.OutsideCommand(afterDashes(args)...))
		}))
	return cmd
}

func afterDashes(args []string) []string {
	if len(args) > 0 && args[0] == "--" {
		return args[1:]
	}
	return args
}

func nodeNumber(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("node %q: want a number from 1", text)
	}
	return n, nil
}

// service reads "NAME [N]": a service of the control plane, or of node N.
func service(args []string) (name string, node int, err error) {
	if len(args) == 2 {
		node, err = nodeNumber(args[1])
	}
	return args[0], node, err
}

func pidCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "pid SERVICE [N]",
		Short: "Print the process of a service of the control plane, or of node N",
		Example: `  woven-sandbox pid controller
  kill -9 $(woven-sandbox pid cniserver 2)     # its supervisor restarts it`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, node, err := service(args)
			if err != nil {
				return err
			}
			cluster, err := o.open()
			if err != nil {
				return err
			}
			pid, err := cluster.PID(name, node)
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintln(cmd.OutOrStdout(), pid)
			return nil
		},
	}
}

func restartCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "restart SERVICE [N]",
		Short: "Restart a service of the control plane, or of node N, with the present program file",
		Example: `  woven-sandbox restart controller
  woven-sandbox restart cniserver 2`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, node, err := service(args)
			if err != nil {
				return err
			}
			cluster, err := o.open()
			if err != nil {
				return err
			}
			return cluster.Restart(cmd.Context(), name, node)
		},
	}
}
