package main

import (
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
	ovsdb "github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/pkg/sandbox"
)

// errDifferences says that the differences are printed.
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

func newCommand() *cobra.Command {
	o := &options{names: check.DefaultNames}
	cmd := &cobra.Command{
		Use:   "woven-check",
		Short: "Compare the API server, OVN and the nodes, and print every difference",
		Long: `Compare the API server, OVN's northbound and southbound databases and, if asked to, Open vSwitch and the kernel of each
node, and print every difference on a line of its own. It changes nothing. Rows that are not marked as Woven's are ignored.

Exit status: 0 if there is no difference, 1 if there are, 2 if something could not be read.`,
		Example: `  woven-check --kubeconfig admin.conf --ovn-nb-addr tcp:10.0.0.1:6641 --ovn-sb-addr tcp:10.0.0.1:6642
  woven-check --nodes sandbox:k0 --settle 10s      # everything of a running sandbox, with up to 10 s to settle`,
		Args: cobra.NoArgs, SilenceErrors: true, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	f := cmd.Flags()
	f.StringVar(&o.kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "kubeconfig file; empty inside a pod")
	f.StringVar(&o.nb, "ovn-nb-addr", "", "northbound database: unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT, several separated by commas")
	f.StringVar(&o.sb, "ovn-sb-addr", "", "southbound database, likewise")
	f.StringVar(&o.cert, "tls-cert", "", "certificate for ssl: addresses (PEM)")
	f.StringVar(&o.key, "tls-key", "", "key of the certificate (PEM)")
	f.StringVar(&o.ca, "tls-ca", "", "authority that signed the databases' certificates (PEM)")
	f.StringVar(&o.nodes, "nodes", "", "also look at the nodes: sandbox:NAME for those of a sandbox on this machine, which then need no other flag")
	f.DurationVar(&o.timeout, "timeout", 30*time.Second, "how long reading may take")
	f.DurationVar(&o.settle, "settle", 0, "how long differences may take to vanish before they count")
	f.StringVar(&o.names.ClusterRouter, "cluster-router", o.names.ClusterRouter, "the default Vpc, as the controller has it")
	f.StringVar(&o.names.NodeSwitch, "node-switch", o.names.NodeSwitch, "the nodes' Subnet, as the controller has it")
	f.StringVar(&o.names.DefaultSubnet, "default-ls", o.names.DefaultSubnet, "the default Subnet, as the controller has it")
	return cmd
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

// compare gives differences the time to settle.
func (o *options) compare(ctx context.Context, sources check.Sources) ([]check.Difference, error) {
	if o.settle <= 0 {
		return check.Differences(ctx, sources)
	}
	settling, cancel := context.WithTimeout(ctx, o.settle)
	defer cancel()
	return check.Settled(settling, sources, time.Second)
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

// ofSandbox takes what is not given by flags from a sandbox.
func (o *options) ofSandbox(name string) error {
	home, err := sandbox.DefaultHome()
	if err != nil {
		return err
	}
	o.sandboxOfTheUser, err = sandbox.Open(home, name)
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
		return sources, fmt.Errorf("make a client of the API server: %w", err)
	}
	if o.sandboxOfTheUser != nil {
		sources.Hosts = onsandbox.Hosts(o.sandboxOfTheUser)
	}
	return sources, nil
}

func (o *options) restConfig() (*rest.Config, error) {
	if o.sandboxOfTheUser != nil && o.kubeconfig == "" {
		return o.sandboxOfTheUser.RESTConfig()
	}
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
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
		nbAddr, sbAddr = orElse(nbAddr, defaultNB), orElse(sbAddr, defaultSB)
	}
	if nb, err = open(ovsdb.NB, "ovn-nb-addr", nbAddr, secure, check.NBTables()); err != nil {
		return nil, nil, err
	}
	sb, err = open(ovsdb.SB, "ovn-sb-addr", sbAddr, secure, check.SBTables())
	return nb, sb, err
}

func orElse(text, other string) string {
	if text != "" {
		return text
	}
	return other
}

func open(database ovsdb.Database, flag, addr string, secure *tls.Config, tables []ovsdb.Table) (*ovsdb.DB, error) {
	if addr == "" {
		return nil, fmt.Errorf("flag --%s: it is empty; where is %s?", flag, database)
	}
	endpoints, err := ovsdb.ParseEndpoints(addr)
	if err != nil {
		return nil, fmt.Errorf("flag --%s: %w", flag, err)
	}
	return ovsdb.New(ovsdb.Config{Database: database, Endpoints: endpoints, TLS: secure, Tables: tables})
}
