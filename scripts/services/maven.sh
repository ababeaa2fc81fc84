# Servers that are jars; sourced after lib.sh.

# jars NAME DEPENDENCIES [MANAGED]: the jars of a Maven project with these dependencies (XML), with all that they need to run, in a folder of
# the cache that JARS names afterwards. A version that is managed in another project's pom is not taken over from a dependency: MANAGED imports it.
jars() {
  local folder=$CACHE/$1 wanted tries
  JARS=$folder/jars
  wanted=$(sha256sum <<<"$2|${3-}")
  [ "$(cat "$folder/fetched" 2>/dev/null)" != "$wanted" ] || return 0
  command -v mvn >/dev/null || need_packages maven
  say "fetching the jars of $1"
  mkdir -p "$folder"
  (
    flock -w 1200 8
    [ "$(cat "$folder/fetched" 2>/dev/null)" != "$wanted" ] || exit 0
    rm -rf "$JARS" "$folder/fetched"
    cat >"$folder/pom.xml" <<XML
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>services</groupId><artifactId>$1</artifactId><version>1</version><packaging>pom</packaging>
  <dependencyManagement><dependencies>${3-}</dependencies></dependencyManagement>
  <dependencies>$2</dependencies>
</project>
XML
    # Maven remembers a download that failed; -U asks again.
    for tries in 1 2; do
      if (cd "$folder" && mvn -B -q -U org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory=jars) >"$folder/log" 2>&1 </dev/null; then
        echo "$wanted" >"$folder/fetched"
        exit 0
      fi
    done
    tail -n 15 "$folder/log" >&2
    exit 1
  ) 8>"$folder.lock" || die "could not fetch the jars of $1"
}
