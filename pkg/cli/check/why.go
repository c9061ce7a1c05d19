// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wovensdn/woven/pkg/inspect"
	"github.com/wovensdn/woven/pkg/sandbox"
)

// defaultController is the URL of a controller on the same host.
const defaultController = "http://127.0.0.1:10660"

// newWhy returns the command "woven-check why".
func newWhy() *cobra.Command {
	var controller, nodes string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "why KIND/[NAMESPACE/]NAME",
		Short: "Explain what an object compiled to, what it waits for and what it was refused",
		Long: `why prints what a controller knows of an object: its problems, the pending writes to the API server, the rows that it
compiled to and whether they are in the database, what it was compiled from, and which objects read it.

The controller needs the flag --enable-pprof. A standby has compiled everything, too, but writes nothing.`,
		Example: `  # A pod without an address
  woven-check why pod/default/web-0

  # A Subnet, of a sandbox on this machine
  woven-check why subnet/ovn-default --nodes sandbox:k0

  # Through the API server, from anywhere
  kubectl -n kube-system port-forward deployment/woven-controller 10660 &
  woven-check why service/default/web --controller http://127.0.0.1:10660`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeoutCause(cmd.Context(), timeout, fmt.Errorf("no response within %s", timeout))
			defer cancel()
			client, err := clientOf(nodes)
			if err != nil {
				return err
			}
			explanation, err := inspect.Fetch(ctx, client, controller, args[0])
			if err != nil {
				return err
			}
			return inspect.Print(cmd.OutOrStdout(), explanation)
		},
	}
	f := cmd.Flags()
	f.StringVar(&controller, "controller", defaultController, "URL of the controller's --bind-address and --pprof-port.")
	f.StringVar(&nodes, "nodes", "", "sandbox:NAME connects to the controller of a sandbox on this machine.")
	f.DurationVar(&timeout, "timeout", 10*time.Second, "Time limit for the response.")
	return cmd
}

// clientOf returns a client that connects to the controller from here, or in the network of a sandbox.
func clientOf(nodes string) (*http.Client, error) {
	if nodes == "" {
		return http.DefaultClient, nil
	}
	name, ok := strings.CutPrefix(nodes, sandboxPrefix)
	if !ok {
		return nil, fmt.Errorf("flag --nodes: %q: want %sNAME", nodes, sandboxPrefix)
	}
	cluster, err := openSandbox(name)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: &http.Transport{
		DialContext: cluster.DialControl,
	}}, nil
}

func openSandbox(name string) (*sandbox.Cluster, error) {
	home, err := sandbox.DefaultHome()
	if err != nil {
		return nil, err
	}
	return sandbox.Open(home, name)
}
