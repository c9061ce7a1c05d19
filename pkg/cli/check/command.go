// SPDX-License-Identifier: Apache-2.0

// Package check is the command woven-check: flags, configuration and wiring.
package check

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/pkg/check"
	"github.com/wovensdn/woven/pkg/check/onsandbox"
	"github.com/wovensdn/woven/pkg/cli"
	ovsdb "github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/pkg/sandbox"
)

// errDifferences means that differences were found and printed.
var errDifferences = errors.New("there are differences")

const sandboxPrefix = "sandbox:"

// options are the flags.
type options struct {
	kubeconfig       string
	nb, sb           string
	cert, key, ca    string
	nodes            string
	timeout, settle  time.Duration
	names            check.Names
	sandboxOfTheUser *sandbox.Cluster
}

// NewCommand returns the command woven-check; [ExitStatus] returns its exit status.
func NewCommand() *cobra.Command {
	o := &options{names: check.DefaultNames}
	cmd := cli.Defaults(&cobra.Command{
		Use:   "woven-check",
		Short: "Compare the API server, OVN and the nodes, and print every difference",
		Long: `woven-check compares the API server, OVN's northbound and southbound databases and, with --nodes, Open vSwitch and the
kernel of each node. It prints one line per difference and changes nothing. Rows without Woven's mark are ignored.

Exit status: 0 without differences, 1 with differences, 2 if something could not be read.`,
		Example: `  # API server and databases of a cluster
  woven-check --kubeconfig admin.conf --ovn-nb-addr tcp:10.0.0.1:6641 --ovn-sb-addr tcp:10.0.0.1:6642

  # Everything of a running sandbox; differences count if they last for 10 seconds
  woven-check --nodes sandbox:k0 --settle 10s

  # What the controller knows of an object
  woven-check why pod/default/web-0 --nodes sandbox:k0

  # Completion of flags in bash
  source <(woven-check completion bash)`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), cmd.OutOrStdout()) },
	})
	f := cmd.Flags()
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "Kubeconfig file; empty: the environment variable KUBECONFIG, or else the service account of the pod.")
	f.StringVar(&o.nb, "ovn-nb-addr", "", "Northbound database: tcp:HOST:PORT, ssl:HOST:PORT or unix:PATH; the members of a cluster separated by commas.")
	f.StringVar(&o.sb, "ovn-sb-addr", "", "Southbound database, in the same form.")
	f.StringVar(&o.cert, "tls-cert", "", "Client certificate for ssl: addresses (PEM file).")
	f.StringVar(&o.key, "tls-key", "", "Private key of the client certificate (PEM file).")
	f.StringVar(&o.ca, "tls-ca", "", "CA certificates that verify the databases' certificates (PEM file).")
	f.StringVar(&o.nodes, "nodes", "", "Also check the nodes: sandbox:NAME for those of a sandbox on this machine, which then needs no other flag.")
	f.DurationVar(&o.timeout, "timeout", 30*time.Second, "Time limit for reading.")
	f.DurationVar(&o.settle, "settle", 0, "Time in which differences may disappear before they count.")
	f.StringVar(&o.names.ClusterRouter, "cluster-router", o.names.ClusterRouter, "Name of the default Vpc; the same as that of the controller.")
	f.StringVar(&o.names.NodeSwitch, "node-switch", o.names.NodeSwitch, "Name of the nodes' Subnet; the same as that of the controller.")
	f.StringVar(&o.names.DefaultSubnet, "default-ls", o.names.DefaultSubnet, "Name of the default Subnet; the same as that of the controller.")
	f.IntVar(&o.names.Limits.PolicyElements, "max-policy-elements", o.names.Limits.PolicyElements, "The same as that of the controller.")
	f.IntVar(&o.names.Limits.ServiceBackends, "max-service-backends", o.names.Limits.ServiceBackends, "The same as that of the controller.")
	f.BoolVar(&o.names.PortSecurity, "default-port-security", o.names.PortSecurity, "The same as that of the controller.")
	cmd.AddCommand(newWhy())
	return cmd
}

// ExitStatus prints an error of the command and returns the exit status: 0 without differences, 1 with differences, 2
// for any other error.
func ExitStatus(cmd *cobra.Command, err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errDifferences):
		return 1
	}
	cli.PrintError(cmd, err)
	return 2
}

func (o *options) run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout+o.settle, fmt.Errorf("not read within %s", o.timeout+o.settle))
	defer cancel()
	if name, ok := strings.CutPrefix(o.nodes, sandboxPrefix); ok {
		if err := o.ofSandbox(name); err != nil {
			return err
		}
	} else if o.nodes != "" {
		return fmt.Errorf("flag --nodes: %q: want %sNAME", o.nodes, sandboxPrefix)
	}
	sources, err := o.sources()
	if err != nil {
		return err
	}
	nb, sb, err := o.databases()
	if err != nil {
		return err
	}
	sources.NB, sources.SB = nb, sb
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	running := errgroup.Group{}
	running.Go(func() error { return nb.Run(ctx) })
	running.Go(func() error { return sb.Run(ctx) })
	found, err := o.compare(ctx, sources)
	stop()
	if failed := running.Wait(); err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	return report(out, found)
}

// compare returns the differences that last for the time of --settle.
func (o *options) compare(ctx context.Context, sources check.Sources) ([]check.Difference, error) {
	if o.settle <= 0 {
		return check.Differences(ctx, sources)
	}
	return check.Persistent(ctx, sources, o.settle, time.Second)
}

func report(out io.Writer, found []check.Difference) error {
	for _, d := range found {
		_, _ = fmt.Fprintln(out, d)
	}
	if len(found) == 0 {
		_, _ = fmt.Fprintln(out, "no difference")
		return nil
	}
	return errDifferences
}

// ofSandbox opens the sandbox whose configuration replaces omitted flags.
func (o *options) ofSandbox(name string) error {
	var err error
	o.sandboxOfTheUser, err = openSandbox(name)
	return err
}

func (o *options) sources() (check.Sources, error) {
	sources := check.Sources{Names: o.names}
	config, err := o.restConfig()
	if err != nil {
		return sources, err
	}
	scheme, err := check.Scheme()
	if err != nil {
		return sources, err
	}
	if sources.API, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return sources, fmt.Errorf("create a client for the API server: %w", err)
	}
	if o.sandboxOfTheUser != nil {
		sources.Hosts = onsandbox.Hosts(o.sandboxOfTheUser)
	}
	return sources, nil
}

func (o *options) restConfig() (*rest.Config, error) {
	kubeconfig := cmp.Or(o.kubeconfig, os.Getenv("KUBECONFIG"))
	if o.sandboxOfTheUser != nil && kubeconfig == "" {
		return o.sandboxOfTheUser.RESTConfig()
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig (flag --kubeconfig): %w", err)
	}
	config.QPS = -1
	return config, nil
}

func (o *options) databases() (nb, sb *ovsdb.DB, err error) {
	var secure *tls.Config
	if o.cert != "" || o.key != "" || o.ca != "" {
		if secure, err = ovsdb.LoadTLS(o.cert, o.key, o.ca); err != nil {
			return nil, nil, err
		}
	}
	nbAddr, sbAddr := o.nb, o.sb
	if o.sandboxOfTheUser != nil {
		defaultNB, defaultSB := onsandbox.Databases(o.sandboxOfTheUser)
		nbAddr, sbAddr = cmp.Or(nbAddr, defaultNB), cmp.Or(sbAddr, defaultSB)
	}
	if nb, err = open(ovsdb.NB, "ovn-nb-addr", nbAddr, secure, check.NBTables()); err != nil {
		return nil, nil, err
	}
	sb, err = open(ovsdb.SB, "ovn-sb-addr", sbAddr, secure, check.SBTables())
	return nb, sb, err
}

func open(database ovsdb.Database, flag, addr string, secure *tls.Config, tables []ovsdb.Table) (*ovsdb.DB, error) {
	if addr == "" {
		return nil, fmt.Errorf("flag --%s: it is empty: want the address of %s", flag, database)
	}
	endpoints, err := ovsdb.ParseEndpoints(addr)
	if err != nil {
		return nil, fmt.Errorf("flag --%s: %w", flag, err)
	}
	return ovsdb.New(ovsdb.Config{Database: database, Endpoints: endpoints, TLS: secure, Tables: tables})
}
