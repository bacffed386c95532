# Java 21 (WAR, Maven)
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM maven:3-eclipse-temurin-21 AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.m2 \
    mvn -B -DskipTests package && mkdir /out && cp "$(find . -path '*/target/*.war' | head -n 1)" /out/ROOT.war

FROM tomcat:9-jre21
RUN chown -R 10001:10001 /usr/local/tomcat
COPY --from=build --chown=10001:10001 /out/ROOT.war /usr/local/tomcat/webapps/ROOT.war
USER 10001:10001
ENV PORT=8080
EXPOSE 8080
CMD ["bash", "/usr/local/tomcat/bin/catalina.sh", "run"]
# ---
# kind java, web, port 8080, because of pom.xml
