// SPDX-License-Identifier: Apache-2.0

// Command woven-cni is the CNI plugin of Woven. A container runtime calls it for every pod; it sends the request to the
// cniserver of the node over a unix socket.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/wovensdn/woven/pkg/cniserver/shim"
	"github.com/wovensdn/woven/pkg/version"
)

// timeout is longer than the server's bound on one operation (90 s) and shorter than kubelet's timeout (2 minutes).
const timeout = 100 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := skel.PluginMainFuncsWithError(shim.Plugin{Timeout: timeout}.Funcs(ctx), shim.Versions, "CNI plugin woven-cni "+version.String())
	stop()
	if err == nil {
		return
	}
	// Before it calls the plugin, skel reads the configuration itself; that it cannot be read is an error in the
	// configuration like any other.
	if err.Code == types.ErrDecodingFailure {
		err = types.NewError(types.ErrInvalidNetworkConfig, "the network configuration on stdin is not valid: "+err.Msg, err.Details)
	}
	if printErr := err.Print(); printErr != nil {
		fmt.Fprintln(os.Stderr, "woven-cni:", err, printErr)
	}
	os.Exit(1)
}
